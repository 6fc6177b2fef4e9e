// SPDX-License-Identifier: Apache-2.0
// Programs that start: who, from where, and what of their arguments leaves the kernel side.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <map>
#include <thread>

#include "tests/bpf/exec_items.h"

namespace keytrail::tests {
namespace {

TEST(Exec, TellsWhoRunsWhat) {
  const Record record = run("/bin/true", {}, {});
  const auto& event = record.as<ev_exec>();
  EXPECT_EQ(event.parent_tgid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(event.head.uid, getuid());
  EXPECT_EQ(event.head.gid, getgid());
  struct stat program{};
  stat("/bin/true", &program);
  EXPECT_EQ(event.exe_inode, program.st_ino);
  EXPECT_NE(event.exe_dev, 0U);
  EXPECT_EQ(event.exe_deleted, 0);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(event.comm)), "true");
  EXPECT_TRUE(joined(record.rest<ev_exec>().substr(0, event.exe_len)).ends_with("/bin/true"));
  EXPECT_EQ(record.rest<ev_exec>().substr(event.exe_len, event.filename_len), "/bin/true");
  EXPECT_EQ(event.argc, 1);
  EXPECT_EQ(event.envc, 0);
  EXPECT_EQ(event.env_truncated + event.args_truncated, 0);
  struct stat status{};
  stat("/proc/self/ns/mnt", &status);
  EXPECT_EQ(event.mnt_ns, status.st_ino);
  stat("/proc/self/ns/pid", &status);
  EXPECT_EQ(event.pid_ns, status.st_ino);
  stat("/proc/self/ns/net", &status);
  EXPECT_EQ(event.net_ns, status.st_ino);
  EXPECT_NE(event.head.start_ns, 0U);
  EXPECT_GT(event.head.time_ns, event.head.start_ns);
  EXPECT_GT(event.head.exec, event.parent_exec);
}

TEST(Exec, TellsThePipesThatItBeginsWith) {
  std::array<int, 2> ends{}, pair{};
  ASSERT_EQ(pipe(ends.data()), 0);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  const std::uint32_t tgid = in_child([&] {
    dup2(ends[0], 0);
    dup2(pair[0], 1);
    execl("/bin/true", "true", nullptr);
    return 1;
  });
  struct stat read{}, written{};
  fstat(ends[0], &read);
  fstat(pair[0], &written);
  for (const int fd : {ends[0], ends[1], pair[0], pair[1]})
    close(fd);
  const std::vector<Record> events = kernel_side().events(KT_EV_EXEC, tgid);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].as<ev_exec>().stdin_pipe, read.st_ino);
  EXPECT_EQ(events[0].as<ev_exec>().stdout_pipe, written.st_ino);
}

TEST(Exec, DevicesAndNetworkSocketsAreNoPipes) {
  const std::uint32_t tgid = in_child([] {
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(socket(AF_INET, SOCK_STREAM, 0), 1);
    execl("/bin/true", "true", nullptr);
    return 1;
  });
  const std::vector<Record> events = kernel_side().events(KT_EV_EXEC, tgid);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].as<ev_exec>().stdin_pipe, 0U);
  EXPECT_EQ(events[0].as<ev_exec>().stdout_pipe, 0U);
}

/// Does a program begin with a pipe or local socket beside its standard descriptors, when it gets `fd` as `number`?
bool has_channel(int fd, int number) {
  const std::uint32_t tgid = in_child([&] {
    for (int other = 3; other < 64; ++other)
      if (other != fd) close(other);
    if (dup2(fd, number) != number) return 1;
    if (fd != number) close(fd);
    execl("/bin/true", "true", nullptr);
    return 1;
  });
  close(fd);
  const std::vector<Record> events = kernel_side().events(KT_EV_EXEC, tgid);
  EXPECT_EQ(events.size(), 1U);
  return !events.empty() && events[0].as<ev_exec>().channel != 0;
}

TEST(Exec, TellsWhetherThereAreOtherPipes) {
  std::array<int, 2> ends{}, pair{};
  ASSERT_EQ(pipe(ends.data()), 0);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  EXPECT_TRUE(has_channel(ends[0], 63)) << "bash's <(…)";
  EXPECT_TRUE(has_channel(pair[0], 3)) << "node's IPC";
  EXPECT_FALSE(has_channel(open("/dev/null", O_RDONLY), 5));
  EXPECT_FALSE(has_channel(socket(AF_INET, SOCK_STREAM, 0), 5));
  close(ends[1]);
  close(pair[1]);
}

/// As the kernel side numbers it (inode__number).
std::uint32_t number_of(const struct stat& file) {
  const auto inode = static_cast<std::uint64_t>(file.st_ino);
  const std::uint32_t dev = (major(file.st_dev) << 20U) | minor(file.st_dev);
  return static_cast<std::uint32_t>(inode ^ (inode >> 32U)) ^ (dev * 2654435761U);
}

TEST(Exec, TellsAFileThatItsStarterMayHaveOpenedForIt) {
  const Folder folder;
  const std::string secret = folder.file("secret", "a secret of some length\n");
  const std::string shown = folder.file("shown", "nothing that is hidden\n");
  chmod(secret.c_str(), 0600);
  chmod(shown.c_str(), 0644);
  EXPECT_TRUE(has_channel(open(secret.c_str(), O_RDONLY), 5));
  EXPECT_FALSE(has_channel(open(secret.c_str(), O_RDWR), 5)) << "a log, a lock";
  EXPECT_EQ(has_channel(open(shown.c_str(), O_RDONLY), 5), folder.is_in_memory());
  struct stat file{};
  stat(shown.c_str(), &file);
  const std::uint32_t tgid = in_child([&] {
    dup2(open(shown.c_str(), O_RDONLY), 0);
    dup2(open(secret.c_str(), O_WRONLY), 1);
    execl("/bin/true", "true", nullptr);
    return 1;
  });
  const std::vector<Record> events = kernel_side().events(KT_EV_EXEC, tgid);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].as<ev_exec>().stdin_pipe, number_of(file));
  stat(secret.c_str(), &file);
  EXPECT_EQ(events[0].as<ev_exec>().stdout_pipe, number_of(file));
}

TEST(Exec, ScriptsShowTheScript) {
  const Folder folder;
  const std::string path = folder.file("tool", "#!/bin/sh\nexit 0\n");
  chmod(path.c_str(), 0755);
  const Record record = run(path, {}, {});
  const auto& event = record.as<ev_exec>();
  EXPECT_EQ(record.rest<ev_exec>().substr(event.exe_len, event.filename_len), path);
  EXPECT_TRUE(joined(record.rest<ev_exec>().substr(0, event.exe_len)).ends_with("sh"));
}

TEST(Exec, ArgumentsLeaveOnlyAsHashesAndPublicIds) {
  const std::string secret = "CANARYargument0123456789";
  const Record record =
      run("/bin/true",
          {"s3", "--profile", "prod", "--profile=" + secret, "-i", "/root/key", "--token", secret, "--other=" + secret,
           "AKIAIOSFODNN7EXAMPLE", "AKIAtooshort", "ghp_" + secret, "--key=AKIAIOSFODNN7EXAMPLE", "--token=" + secret},
          {});
  const std::vector<Item> items = items_of(record);
  ASSERT_EQ(items.size(), 8U);
  const auto flag = [&](std::size_t i, const std::string& name, const std::string& value, int position) {
    EXPECT_EQ(items[i].head.kind, KT_ITEM_ARG_FLAG);
    EXPECT_EQ(items[i].name, name);
    EXPECT_EQ(items[i].value, value);
    EXPECT_EQ(items[i].head.position, position);
  };
  flag(0, "--profile", fingerprint("prod"), 3);
  flag(1, "--profile", fingerprint(secret), 4);
  flag(2, "-i", fingerprint("/root/key"), 6);
  flag(3, "--token", "", 8);
  EXPECT_EQ(items[4].head.kind, KT_ITEM_ARG_FORMAT);
  EXPECT_EQ(items[4].value, "AKIAIOSFODNN7EXAMPLE");
  EXPECT_EQ(items[4].head.format, 0);
  EXPECT_EQ(items[4].head.flags & KT_ITEM_F_PUBLIC, KT_ITEM_F_PUBLIC);
  EXPECT_EQ(items[5].value, fingerprint("ghp_" + secret));
  EXPECT_EQ(items[5].head.format, 1);
  EXPECT_EQ(items[6].value, "AKIAIOSFODNN7EXAMPLE");
  flag(7, "--token", "", 14);
  EXPECT_EQ(record.as<ev_exec>().argc, 15);
}

TEST(Exec, APointedToFileIsWatchedBeforeTheProgramCanOpenIt) {
  const Folder folder;
  const std::string path = folder.file("a/strange.name");
  const Record record = run("/bin/cat", {path}, {"AWS_CONFIG_FILE=" + path});
  EXPECT_EQ(environment_of(record).at("AWS_CONFIG_FILE").value, path);
  const std::vector<Record> opens = kernel_side().events(KT_EV_OPEN, record.head().tgid);
  ASSERT_EQ(opens.size(), 1U);
  EXPECT_EQ(joined(opens[0].rest<ev_open>()), path);
}

TEST(Exec, AFileThatAFlagNamesIsWatchedToo) {
  const Folder folder;
  const std::string path = folder.file("a/odd.name");
  const Record record = run("/bin/true", {"--authfile", path}, {});
  const std::vector<Item> items = items_of(record);
  ASSERT_EQ(items.size(), 1U);
  EXPECT_EQ(items[0].name, "--authfile");
  EXPECT_EQ(items[0].value, path);
  EXPECT_EQ(items[0].head.flags, KT_ITEM_F_PUBLIC);
  const Record reader = run("/bin/cat", {path}, {});
  EXPECT_EQ(kernel_side().events(KT_EV_OPEN, reader.head().tgid).size(), 1U);
}

TEST(Exec, WhatLooksLikeNoPathStaysWhereAnyProgramMayHaveTheFlag) {
  EXPECT_TRUE(items_of(run("/bin/true", {"--authfile", "c2VjcmV0IHRleHQ="}, {})).empty());
  EXPECT_TRUE(items_of(run("/bin/true", {"--authfile=c2VjcmV0IHRleHQ="}, {})).empty());
  EXPECT_EQ(items_of(run("/bin/true", {"--authfile=./auth.json"}, {})).size(), 1U);
}

TEST(Exec, AFlagOfOneProgramIsAPathForItAlone) {
  const Folder folder;
  const std::string path = folder.file("the.key");
  const auto value_with = [&](const std::string& name) {
    const std::string program = folder.file(name, "#!/bin/true\n");
    chmod(program.c_str(), 0755);
    const std::vector<Item> items = items_of(run(program, {"-i", path}, {}));
    return items.size() == 1 ? items[0].value : std::string();
  };
  EXPECT_EQ(value_with("ssh"), path);
  EXPECT_EQ(value_with("sshd"), fingerprint(path));
}

/// What was kept of the arguments of this exec; they can be taken once.
std::string take_arguments(const Record& record) {
  const ev_head& head = record.head();
  std::array<char, KT_KEPT_MAX> text{};
  const auto length =
      kernel_side().loader().take_arguments({.start_ns = head.start_ns, .tgid = head.tgid, .exec = head.exec}, text);
  return length ? std::string(text.data(), *length) : "none";
}

TEST(Exec, TheArgumentsOfAProgramThatMayBeGivenKeysWaitForTheWarden) {
  const std::string secret = "CANARYargument0123456789";
  const Record record = run("/bin/true", {"-H", "Authorization: Bearer " + secret}, {"OTHER=" + secret});
  EXPECT_EQ(record.as<ev_exec>().args_kept, KT_ARGS_WHOLE);
  EXPECT_EQ(record.bytes.find(secret), std::string::npos);
  const std::string words = std::string("/bin/true\0-H\0Authorization: Bearer ", 35) + secret + '\0';
  EXPECT_EQ(take_arguments(record), words) << "the process is gone, what it was given is not";
  EXPECT_EQ(take_arguments(record), "none") << "they were taken out";
}

TEST(Exec, ArgumentsThatNobodyAsksForAreForgotten) {
  const Record old = run("/bin/true", {"-H", "old"}, {});
  kernel_side().loader().drop_old_arguments();
  const Record young = run("/bin/true", {"-H", "new"}, {});
  kernel_side().loader().drop_old_arguments();
  EXPECT_EQ(take_arguments(old), "none");
  EXPECT_EQ(take_arguments(young), std::string("/bin/true\0-H\0new\0", 17));
}

TEST(Exec, OfLongArgumentsTheBeginningWaits) {
  const Record record = run("/bin/true", {std::string(KT_KEPT_MAX, 'x')}, {});
  EXPECT_EQ(record.as<ev_exec>().args_kept, KT_ARGS_PART);
  EXPECT_EQ(take_arguments(record),
            (std::string("/bin/true\0", 10) + std::string(KT_KEPT_MAX, 'x')).substr(0, KT_KEPT_MAX));
}

TEST(Exec, OnlyTheArgumentsOfTheseProgramsWait) {
  const Folder folder;
  const auto kept_of = [&](const std::string& name) {
    const std::string program = folder.file(name, "#!/bin/cat\n");
    chmod(program.c_str(), 0755);
    return run(program, {}, {}).as<ev_exec>().args_kept;
  };
  EXPECT_EQ(kept_of("keytrail-examined"), KT_ARGS_WHOLE);
  EXPECT_EQ(kept_of("ssh"), KT_ARGS_WHOLE);
  EXPECT_EQ(kept_of("bash"), KT_ARGS_NONE);
}

TEST(Exec, AThreadThatIsNotTheLeaderKeepsTheProcess) {
  const std::uint32_t tgid = in_child([] {
    std::thread([] { execl("/bin/true", "true", nullptr); }).join();
    return 1;
  });
  const std::vector<Record> events = kernel_side().events(KT_EV_EXEC, tgid);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].head().tid, tgid);
  const std::vector<Record> forks = kernel_side().events(KT_EV_FORK, static_cast<std::uint32_t>(getpid()));
  ASSERT_FALSE(forks.empty());
  EXPECT_EQ(forks.back().as<ev_fork>().child_tgid, tgid);
  EXPECT_EQ(forks.back().as<ev_fork>().child_start_ns, events[0].head().start_ns);
}

TEST(Exec, HugeEnvironmentsAndArgumentListsAreCutAndSaySo) {
  std::vector<std::string> many(9000, "X=" + std::string(20, 'y'));
  many.emplace_back("AWS_ACCESS_KEY_ID=behind");
  const Record variables = run("/bin/true", {}, many);
  EXPECT_EQ(variables.as<ev_exec>().env_truncated, 1);
  EXPECT_EQ(variables.as<ev_exec>().args_truncated, 0);

  const Record arguments = run("/bin/true", std::vector<std::string>(60'000, "a"), {"AWS_ACCESS_KEY_ID=x"});
  EXPECT_EQ(arguments.as<ev_exec>().args_truncated, 1);
  EXPECT_EQ(environment_of(arguments).size(), 1U);

  std::vector<std::string> shown;
  for (int i = 0; i < 40; ++i)
    shown.push_back("AWS_ACCESS_KEY_ID=" + std::string(250, 'z'));
  const Record full = run("/bin/true", {}, shown);
  EXPECT_EQ(full.as<ev_exec>().env_truncated, 1);
  EXPECT_LE(full.as<ev_exec>().items_len, KT_ITEMS_MAX);
  EXPECT_GT(full.as<ev_exec>().items_len, KT_ITEMS_MAX - 400);
}

}  // namespace
}  // namespace keytrail::tests
