// SPDX-License-Identifier: Apache-2.0
// Forks, exits, the sweep over what is older than the agent, samples, heartbeats, own processes.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "tests/bpf/sockets.h"

namespace keytrail::tests {
namespace {

std::uint32_t me() { return static_cast<std::uint32_t>(getpid()); }

TEST(Lifetime, ForkAndExitNameTheSameInstance) {
  kernel_side().drain();
  const std::uint32_t tgid = in_child([] { return 0; });
  const std::vector<Record> forks = kernel_side().events(KT_EV_FORK, me());
  ASSERT_EQ(forks.size(), 1U);
  EXPECT_EQ(forks[0].as<ev_fork>().child_tgid, tgid);
  EXPECT_EQ(forks[0].as<ev_fork>().child_exec, forks[0].head().exec);
  const std::vector<Record> exits = kernel_side().events(KT_EV_EXIT, tgid);
  ASSERT_EQ(exits.size(), 1U);
  EXPECT_EQ(exits[0].head().start_ns, forks[0].as<ev_fork>().child_start_ns);
  EXPECT_FALSE(exits[0].high);
}

TEST(Lifetime, ThreadsAreNoProcesses) {
  const std::uint32_t tgid = in_child([] {
    std::thread([] {}).join();
    return 0;
  });
  EXPECT_TRUE(kernel_side().events(KT_EV_FORK, tgid).empty());
  EXPECT_EQ(kernel_side().events(KT_EV_EXIT, tgid).size(), 1U);
}

TEST(Lifetime, ThreadsThatEndAtOnceEndOneProcess) {
  for (int round = 0; round < 300; ++round) {
    const std::uint32_t tgid = in_child([] {
      std::atomic<int> here = 0;
      const auto end_together = [&here] {
        ++here;
        while (here < 2) {
        }
        syscall(SYS_exit, 0);
      };
      std::thread(end_together).detach();
      end_together();
      return 1;
    });
    EXPECT_EQ(kernel_side().events(KT_EV_EXIT, tgid).size(), 1U) << "round " << round;
  }
}

TEST(Lifetime, TheCgroupOfAnEventWasAnnouncedWithItsPath) {
  KernelSide fresh;
  const std::uint32_t tgid = in_child([] {
    execl("/bin/true", "true", nullptr);
    return 1;
  });
  const std::vector<Record> records = fresh.drain();
  std::map<std::uint64_t, std::string> paths;
  std::uint64_t mine = 0;
  for (const Record& record : records) {
    if (record.head().type == KT_EV_CGROUP) paths[record.head().cgroup_id] = joined(record.rest<ev_cgroup>());
    if (record.head().type == KT_EV_EXEC && record.head().tgid == tgid) mine = record.head().cgroup_id;
  }
  ASSERT_TRUE(paths.contains(mine));
  std::ifstream file("/proc/self/cgroup");
  std::set<std::string> real;
  for (std::string line; std::getline(file, line);)
    real.insert(line.substr(line.find(':', line.find(':') + 1) + 1));
  EXPECT_TRUE(real.contains(paths[mine])) << paths[mine];
  fresh.expect_identity();
}

TEST(Lifetime, ACgroupThatIsForgottenIsAnnouncedAgainBeforeItsNextEvent) {
  KernelSide fresh;
  const auto run = [&fresh] {
    const std::uint32_t tgid = in_child([] {
      execl("/bin/true", "true", nullptr);
      return 1;
    });
    std::map<std::uint64_t, std::uint64_t> announced;
    const ev_head* exec = nullptr;
    const std::vector<Record> records = fresh.drain();
    for (const Record& record : records) {
      if (record.head().type == KT_EV_CGROUP) announced[record.head().cgroup_id] = record.head().time_ns;
      if (record.head().type == KT_EV_EXEC && record.head().tgid == tgid) exec = &record.head();
    }
    EXPECT_NE(exec, nullptr);
    return exec != nullptr && announced.contains(exec->cgroup_id) && announced[exec->cgroup_id] <= exec->time_ns;
  };
  EXPECT_TRUE(run());
  EXPECT_FALSE(run()) << "once is enough for one worker";
  fresh.loader().forget_cgroups();
  EXPECT_TRUE(run()) << "the next one has not met it";
}

/// Where cgroups of v2 are; empty: nowhere.
std::string cgroup2() {
  std::ifstream mounts("/proc/mounts");
  std::string what, where, kind, rest;
  while (mounts >> what >> where >> kind && std::getline(mounts, rest)) {
    if (kind == "cgroup2") return where;
  }
  return {};
}

/// The announcement of a cgroup in which a program runs.
ev_cgroup announced(KernelSide& side, const std::string& group) {
  in_child([&] {
    std::ofstream(group + "/cgroup.procs") << getpid() << std::flush;
    execl("/bin/true", "true", nullptr);
    return 1;
  });
  const std::string name = group.substr(cgroup2().size());
  for (const Record& record : side.events(KT_EV_CGROUP, 0)) {
    if (joined(record.rest<ev_cgroup>()) == name) return record.as<ev_cgroup>();
  }
  ADD_FAILURE() << name << " was not announced";
  return {};
}

/// Who has just ended may still be in it.
void remove_group(const std::string& group) {
  for (int i = 0; i < 100 && rmdir(group.c_str()) != 0 && errno == EBUSY; ++i)
    usleep(20'000);
}

TEST(Lifetime, OfACgroupItIsToldWhichNamesAreNotRoots) {
  if (cgroup2().empty()) GTEST_SKIP() << "no cgroup v2 is mounted";
  KernelSide fresh;
  const std::string top = cgroup2() + "/keytrail-test-" + std::to_string(getpid());
  const std::string inner = top + "/kubepods", leaf = inner + "/pod", shared = top + "/shared";
  for (const std::string& one : {top, inner, leaf, shared})
    ASSERT_EQ(mkdir(one.c_str(), 0755), 0) << one;
  const ev_cgroup roots = announced(fresh, leaf);
  EXPECT_EQ(roots.claimed, 0);
  EXPECT_EQ(roots.owner, 0U);
  remove_group(leaf);
  EXPECT_EQ(chown(inner.c_str(), 65534, 65534), 0);
  ASSERT_EQ(mkdir(leaf.c_str(), 0755), 0);
  const ev_cgroup users = announced(fresh, leaf);
  EXPECT_EQ(users.claimed, 1) << "the directory that was given away has root's name, what is in it has not";
  EXPECT_EQ(users.owner, 65534U);
  EXPECT_EQ(chmod(top.c_str(), 0777), 0);
  EXPECT_EQ(announced(fresh, shared).claimed, 1) << "anybody may have made it";
  for (const std::string& one : {shared, leaf, inner, top})
    remove_group(one);
  fresh.expect_identity();
}

TEST(Lifetime, WhatASpentBudgetCostsIsSaidOfTheCgroupThatSpentItAndTheSumIsExact) {
  if (cgroup2().empty()) GTEST_SKIP() << "no cgroup v2 is mounted";
  warden::LoaderOptions options;
  options.budget_per_cgroup = 100;
  KernelSide limited(options);
  const std::string group = cgroup2() + "/keytrail-flood-" + std::to_string(getpid()), other = group + "-not";
  for (const std::string& one : {group, other})
    ASSERT_EQ(mkdir(one.c_str(), 0755), 0) << one;
  const Folder folder;
  const std::string quiet = folder.file("credentials");
  const auto cgroup_of = [&](const std::string& where, const std::function<int()>& work) -> std::uint64_t {
    const std::uint32_t tgid = in_child([&] {
      std::ofstream(where + "/cgroup.procs") << getpid() << std::flush;
      return work();
    });
    const std::vector<Record> opens = limited.events(KT_EV_OPEN, tgid);
    return opens.empty() ? 0 : opens.front().head().cgroup_id;
  };
  const std::uint64_t flooder = cgroup_of(group, [&] {
    for (int i = 0; i < 1000; ++i) {
      const int fd = open(folder.file("of-" + std::to_string(i) + "/KeyTrailFlood").c_str(), O_RDONLY);
      if (fd < 0) return 1;
      close(fd);
    }
    return 0;
  });
  const std::uint64_t bystander = cgroup_of(other, [&] { return open(quiet.c_str(), O_RDONLY) < 0 ? 1 : 0; });
  ASSERT_NE(flooder, 0U);
  ASSERT_NE(bystander, 0U) << "another cgroup has a budget of its own";
  ASSERT_NE(bystander, flooder);
  EXPECT_GT(limited.lost_of(flooder, KT_FAMILY_OPEN), 0U);
  EXPECT_EQ(limited.lost_of(bystander, KT_FAMILY_OPEN), 0U);
  // Others of this machine spend their budgets meanwhile: both sums must be of one moment.
  const auto is_exact = [&](std::uint32_t family) {
    for (int i = 0; i < 1000; ++i) {
      const kt_u64 lost = limited.totals(family)[KT_C_LOST_BUDGET];
      const std::uint64_t of_all = limited.lost_of(0, family);
      if (of_all == lost && limited.totals(family)[KT_C_LOST_BUDGET] == lost) return true;
    }
    return false;
  };
  for (std::uint32_t family = 0; family < KT_FAMILIES; ++family)
    EXPECT_TRUE(is_exact(family)) << "family " << family;
  for (const std::string& one : {group, other})
    remove_group(one);
  limited.expect_identity();
}

/// A process with a key file open, a client connection and a server's side of it, older than the sweep.
class Older {
 public:
  explicit Older(const std::string& path) {
    EXPECT_EQ(pipe(ready_), 0);
    EXPECT_EQ(pipe(leave_), 0);
    child_ = fork();
    if (child_ == 0) _exit(live(path));
    char byte = 0;
    EXPECT_EQ(read(ready_[0], &byte, 1), 1);
  }
  ~Older() {
    close(leave_[1]);
    waitpid(child_, nullptr, 0);
    for (int fd : {ready_[0], ready_[1], leave_[0]})
      close(fd);
  }
  Older(const Older&) = delete;
  Older& operator=(const Older&) = delete;
  [[nodiscard]] std::uint32_t tgid() const { return static_cast<std::uint32_t>(child_); }

 private:
  int live(const std::string& path) {
    close(leave_[1]);
    const int file = open(path.c_str(), O_RDONLY);
    if (file < 0) return 1;
    const auto [client, peer] = connected();
    if (peer < 0) return 2;
    send_all(client, "hello");
    receive_all(peer, 5);
    char byte = 1;
    if (write(ready_[1], &byte, 1) != 1) return 3;
    return read(leave_[0], &byte, 1) != 0;
  }
  int ready_[2]{}, leave_[2]{};
  pid_t child_ = 0;
};

TEST(Sweep, FindsProcessesFilesAndConnectionsOlderThanTheAgent) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  const Older older(path);
  KernelSide late;
  ASSERT_TRUE(late.loader().sweep());
  const std::vector<Record> records = late.drain();
  int tasks = 0;
  int files = 0;
  int connections = 0;
  int done = 0;
  for (const Record& record : records) {
    const ev_head& head = record.head();
    if (head.type == KT_EV_BASELINE_DONE) ++done;
    if (head.tgid != older.tgid()) continue;
    EXPECT_TRUE(head.flags & KT_F_BASELINE) << head.type;
    if (head.type == KT_EV_TASK) {
      ++tasks;
      EXPECT_EQ(record.as<ev_exec>().parent_tgid, me());
      EXPECT_TRUE(joined(record.rest<ev_exec>()).ends_with("bpf_test"));
    }
    if (head.type == KT_EV_OPEN) {
      ++files;
      EXPECT_EQ(joined(record.rest<ev_open>()), path);
    }
    if (head.type == KT_EV_CONNECT) ++connections;
  }
  EXPECT_EQ(tasks, 1);
  EXPECT_EQ(files, 1);
  EXPECT_EQ(connections, 1) << "the client's side only";
  EXPECT_EQ(done, 1);
  EXPECT_EQ(records.back().head().type == KT_EV_BASELINE_DONE || done == 1, true);
  late.expect_identity();
}

TEST(Sweep, OfTheKernelsThreadsShowsTheFirstForItsMountNamespace) {
  struct stat mounts{};
  if (stat("/proc/2/ns/mnt", &mounts) != 0) GTEST_SKIP() << "in a PID namespace of its own";
  KernelSide late;
  ASSERT_TRUE(late.loader().sweep());
  std::vector<ev_exec> found;
  for (const Record& record : late.drain()) {
    if (record.head().type != KT_EV_TASK) continue;
    const ev_exec& task = record.as<ev_exec>();
    if (task.head.tgid == 2 || task.parent_tgid == 2) found.push_back(task);
  }
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].head.tgid, 2U);
  EXPECT_EQ(found[0].mnt_ns, mounts.st_ino);
  EXPECT_EQ(found[0].exe_len, 0U);
}

TEST(Sweep, SamplesShowBytesAndIdleTimeOfOpenConnections) {
  const Folder folder;
  kernel_side().drain();
  const Older older(folder.file("credentials"));
  ASSERT_TRUE(kernel_side().loader().sample_sockets());
  usleep(300'000);
  kernel_side().events(KT_EV_SOCKET, 0);
  ASSERT_TRUE(kernel_side().loader().sample_sockets());
  std::vector<Record> samples;
  for (Record& record : kernel_side().events(KT_EV_SOCKET, older.tgid())) {
    if (record.as<ev_socket>().state == KT_SOCKET_SAMPLE) samples.push_back(std::move(record));
  }
  ASSERT_EQ(samples.size(), 1U);
  EXPECT_EQ(samples[0].as<ev_socket>().bytes_sent, 5U);
  EXPECT_GE(samples[0].as<ev_socket>().idle_ms, 250U);
  EXPECT_LE(samples[0].as<ev_socket>().idle_ms, 3000U);
}

TEST(Heartbeat, EachArmedFamilyBeatsOnce) {
  kernel_side().drain();
  ASSERT_TRUE(kernel_side().loader().heartbeat());
  std::multiset<int> families;
  for (const Record& record : kernel_side().events(KT_EV_HEARTBEAT, 0))
    families.insert(record.head().family);
  EXPECT_EQ(families, (std::multiset<int>{KT_FAMILY_EXEC, KT_FAMILY_OPEN, KT_FAMILY_CONNECT, KT_FAMILY_NAME,
                                          KT_FAMILY_LIFETIME}));
  for (const Record& record : kernel_side().drain())
    EXPECT_NE(record.head().tgid, me()) << "a heartbeat left another event of type " << record.head().type;
}

TEST(OwnProcesses, AreFilteredWithTheirChildren) {
  KernelSide fresh;
  ASSERT_TRUE(fresh.loader().set_own_process(0, me()));
  const Folder folder;
  const std::string path = folder.file("credentials");
  const std::uint32_t child = in_child([&] {
    if (open(path.c_str(), O_RDONLY) < 0) return 1;
    execl("/bin/true", "true", nullptr);
    return 2;
  });
  close(open(path.c_str(), O_RDONLY));
  for (const Record& record : fresh.drain()) {
    EXPECT_NE(record.head().tgid, me()) << record.head().type;
    EXPECT_NE(record.head().tgid, child) << record.head().type;
  }
  EXPECT_FALSE(fresh.loader().set_own_process(8, 1));
  fresh.expect_identity();
}

}  // namespace
}  // namespace keytrail::tests
