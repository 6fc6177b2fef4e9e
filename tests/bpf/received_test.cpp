// SPDX-License-Identifier: Apache-2.0
// What a process gets of another one without opening a key file: its descriptors, its environment, its memory. And as
// which user.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>

#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {
namespace {

/// Opens the file and sends its descriptors, behind the sender's credentials, to a child that opens nothing; the
/// child's tgid.
std::uint32_t send_to_child(const std::string& path) {
  std::array<int, 2> pair{};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  const int on = 1;
  EXPECT_EQ(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  const int fd = open(path.c_str(), O_RDONLY);
  char byte = 'x';
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<char, 256> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(2 * sizeof(int));
  cmsghdr* const head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(2 * sizeof(int));
  const std::array<int, 2> sent{pair[0], fd};
  memcpy(CMSG_DATA(head), sent.data(), sizeof sent);
  EXPECT_EQ(sendmsg(pair[0], &message, 0), 1);
  close(fd);
  const std::uint32_t tgid = in_child([&] {
    message.msg_controllen = control.size();
    return recvmsg(pair[1], &message, 0) == 1 && message.msg_controllen > CMSG_SPACE(2 * sizeof(int)) ? 0 : 1;
  });
  close(pair[0]);
  close(pair[1]);
  return tgid;
}

TEST(Received, ADescriptorThatAnotherProcessSent) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  const std::vector<Record> events = kernel_side().events(KT_EV_OPEN, send_to_child(path));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(joined(events[0].rest<ev_open>()), path);
  kernel_side().expect_identity();
}

TEST(Received, ADescriptorThatIsFetchedFromAnotherProcess) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  const int fd = open(path.c_str(), O_RDONLY);
  const pid_t parent = getpid();
  const std::uint32_t tgid = in_child([&] {
    close(fd);
    const long pidfd = syscall(SYS_pidfd_open, parent, 0);
    return pidfd >= 0 && syscall(SYS_pidfd_getfd, pidfd, fd, 0) >= 0 ? 0 : 1;
  });
  close(fd);
  const std::vector<Record> events = kernel_side().events(KT_EV_OPEN, tgid);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(joined(events[0].rest<ev_open>()), path);
}

/// Who looked into which process, and what at.
void expect_peek(std::uint32_t tgid, std::uint32_t of, std::uint32_t what) {
  const std::vector<Record> events = kernel_side().events(KT_EV_PEEK, tgid);
  ASSERT_EQ(events.size(), 1U);
  const auto& event = events[0].as<ev_peek>();
  EXPECT_EQ(event.tgid, of);
  EXPECT_EQ(event.what, what);
  EXPECT_NE(event.start_ns, 0U);
  EXPECT_LT(event.start_ns, event.head.start_ns) << "the other process's, not the reader's";
}

TEST(Received, TheEnvironmentAndTheMemoryOfAnotherProcess) {
  const auto of = static_cast<std::uint32_t>(getpid());
  const std::string folder = "/proc/" + std::to_string(of);
  const auto opens = [&](const std::string& path) {
    return in_child([&] { return open(path.c_str(), O_RDONLY) < 0 || open(path.c_str(), O_RDONLY) < 0; });
  };
  expect_peek(opens(folder + "/environ"), of, KT_PEEK_ENVIRONMENT);
  expect_peek(opens(folder + "/task/" + std::to_string(of) + "/environ"), of, KT_PEEK_ENVIRONMENT);
  expect_peek(opens(folder + "/mem"), of, KT_PEEK_MEMORY);
  EXPECT_TRUE(kernel_side().events(KT_EV_PEEK, opens("/proc/self/environ")).empty()) << "one's own";
  EXPECT_TRUE(kernel_side().events(KT_EV_PEEK, opens(folder + "/status")).empty());
  kernel_side().expect_identity();
}

/// What a child that is ready to be looked into is: it waits until the other end of the pipe is closed.
struct Victim {
  pid_t pid = -1;
  int end = -1;
  Victim() {
    std::array<int, 2> ready{}, held{};
    EXPECT_EQ(pipe(ready.data()), 0);
    EXPECT_EQ(pipe(held.data()), 0);
    pid = fork();
    if (pid == 0) {
      close(held[1]);
      char byte = 'x';
      (void)!write(ready[1], &byte, 1);
      (void)!read(held[0], &byte, 1);
      _exit(0);
    }
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    close(held[0]);
    end = held[1];
  }
  ~Victim() {
    close(end);
    int status = 0;
    waitpid(pid, &status, 0);
  }
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;
};

int g_word = 4711;  ///< at the same address in every fork

bool reads_memory(pid_t of) {
  int copy = 0;
  const iovec here{&copy, sizeof copy}, there{&g_word, sizeof g_word};
  return process_vm_readv(of, &here, 1, &there, 1, 0) == sizeof copy && copy == 4711;
}

bool traces(pid_t of) {
  int status = 0;
  return ptrace(PTRACE_SEIZE, of, nullptr, nullptr) == 0 && ptrace(PTRACE_INTERRUPT, of, nullptr, nullptr) == 0 &&
         waitpid(of, &status, __WALL) == of && ptrace(PTRACE_DETACH, of, nullptr, nullptr) == 0;
}

bool attaches(pid_t of) {
  int status = 0;
  return ptrace(PTRACE_ATTACH, of, nullptr, nullptr) == 0 && waitpid(of, &status, __WALL) == of &&
         ptrace(PTRACE_DETACH, of, nullptr, nullptr) == 0;
}

TEST(Received, TheMemoryOfAnotherProcessThatACallGetsAt) {
  const Victim victim;
  const auto of = static_cast<std::uint32_t>(victim.pid);
  expect_peek(in_child([&] { return reads_memory(victim.pid) && reads_memory(victim.pid) ? 0 : 1; }), of,
              KT_PEEK_MEMORY);
  expect_peek(in_child([&] { return traces(victim.pid) ? 0 : 1; }), of, KT_PEEK_TRACE);
  expect_peek(in_child([&] { return attaches(victim.pid) ? 0 : 1; }), of, KT_PEEK_TRACE);
  kernel_side().expect_identity();
}

TEST(Received, ACallThatGetsAtNothingOfAnotherIsNone) {
  const Victim victim;
  const auto none = [](const std::function<int()>& work) {
    return kernel_side().events(KT_EV_PEEK, in_child(work)).empty();
  };
  EXPECT_TRUE(none([] { return reads_memory(getpid()) ? 0 : 1; })) << "its own";
  EXPECT_TRUE(none([] { return reads_memory(1'999'999) ? 1 : 0; })) << "nobody";
  EXPECT_TRUE(none([&] {
    if (setuid(65534) != 0) return 1;
    return reads_memory(victim.pid) || traces(victim.pid) ? 1 : 0;
  })) << "refused";
  EXPECT_TRUE(none([] {
    const pid_t child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    const bool traced = traces(child);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    return traced ? 0 : 1;
  })) << "a child that runs no program of its own yet";
  kernel_side().expect_identity();
}

/// Two ends of a pipe that no program inherits.
std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  return ends;
}

/// The number that a child wrote there.
std::uint32_t number_from(const std::array<int, 2>& ends) {
  pid_t number = 0;
  close(ends[1]);
  EXPECT_EQ(read(ends[0], &number, sizeof number), static_cast<ssize_t>(sizeof number));
  close(ends[0]);
  return static_cast<std::uint32_t>(number);
}

bool write_number(const std::array<int, 2>& ends, pid_t number) {
  return write(ends[1], &number, sizeof number) == static_cast<ssize_t>(sizeof number);
}

/// Both run programs of their own, begun by as many execs: who traces is its parent, and no debugger that starts it.
TEST(Received, AChildThatRunsAProgramOfItsOwnIsAnother) {
  const char* const python = "/usr/bin/python3";
  if (access(python, X_OK) != 0) GTEST_SKIP() << "no python3";
  const char* const code =
      "import ctypes, os, sys\n"
      "of = int(sys.argv[1])\n"
      "call = ctypes.CDLL(None).ptrace\n"
      "call.restype = ctypes.c_long\n"
      "failed = call(ctypes.c_long(0x4206), of, None, None)\n"
      "os.kill(of, 9)\n"
      "os.waitpid(of, 0)\n"
      "sys.exit(failed != 0)\n";
  const std::array<int, 2> told = make_pipe();
  const std::uint32_t tracer = in_child([&] {
    const std::array<int, 2> begun = make_pipe();
    const pid_t victim = fork();
    if (victim == 0) {
      execlp("sleep", "sleep", "60", nullptr);
      _exit(1);
    }
    close(begun[1]);
    char byte = 0;
    if (!write_number(told, victim) || read(begun[0], &byte, 1) != 0) return 1;  // its exec has closed the other end
    execl(python, python, "-I", "-c", code, std::to_string(victim).c_str(), nullptr);
    return 1;
  });
  const std::uint32_t victim = number_from(told);
  const std::vector<Record> events = kernel_side().events(KT_EV_PEEK, tracer);
  ASSERT_EQ(events.size(), 1U);
  const auto& event = events[0].as<ev_peek>();
  EXPECT_EQ(event.tgid, victim);
  EXPECT_EQ(event.what, KT_PEEK_TRACE);
  EXPECT_GE(event.start_ns, event.head.start_ns) << "the child's, not its parent's";
  kernel_side().expect_identity();
}

/// As a debugger starts a program: up to its exec the child has only what its parent gave it.
TEST(Received, AChildThatHasItselfTracedBeforeItsExecIsNone) {
  const std::array<int, 2> told = make_pipe();
  const std::uint32_t tracer = in_child([&] {
    const pid_t child = fork();
    if (child == 0) _exit(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 && raise(SIGSTOP) == 0 ? 0 : 1);
    int status = 0;
    if (!write_number(told, child) || waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return 1;
    if (ptrace(PTRACE_DETACH, child, nullptr, nullptr) != 0) return 1;
    waitpid(child, &status, 0);
    return status == 0 ? 0 : 1;
  });
  const std::uint32_t child = number_from(told);
  for (const std::uint32_t by : {tracer, child})
    EXPECT_TRUE(kernel_side().events(KT_EV_PEEK, by).empty()) << by;
  kernel_side().expect_identity();
}

/// Process numbers in a namespace of its own mean other processes than outside.
TEST(Received, TheCallersNamespaceSaysWhoseMemoryItIs) {
  const std::uint32_t outer = in_child([] {
    if (unshare(CLONE_NEWPID) != 0) return 1;
    const pid_t init = fork();  // 1 inside
    if (init == 0) {
      const pid_t other = fork();  // 2
      if (other == 0) {
        pause();
        _exit(0);
      }
      const pid_t reader = fork();  // 3: no parent of 2
      if (reader == 0) _exit(reads_memory(2) ? 0 : 1);
      int status = 1;
      waitpid(reader, &status, 0);
      _exit(status == 0 ? 0 : 1);
    }
    int status = 1;
    waitpid(init, &status, 0);
    return status == 0 ? 0 : 1;
  });
  std::vector<Record> events = kernel_side().events(KT_EV_PEEK, 0);  // the reader's number out here nobody knows
  std::erase_if(events, [&](const Record& one) { return one.head().tgid <= outer; });
  ASSERT_EQ(events.size(), 1U);
  const auto& event = events[0].as<ev_peek>();
  EXPECT_NE(event.tgid, 2U) << "as the machine numbers it";
  EXPECT_GT(event.tgid, outer);
  EXPECT_LT(event.tgid, event.head.tgid) << "forked before its reader";
}

TEST(Users, AreThoseOfTheMomentInEveryEvent) {
  const Folder folder;
  const std::string path = folder.file("credentials");
  chmod(path.c_str(), 0644);
  chmod(folder.path().c_str(), 0755);
  const std::uint32_t tgid = in_child([&] {
    if (open(path.c_str(), O_RDONLY) < 0 || setgid(65533) != 0 || setuid(65534) != 0) return 1;
    const pid_t child = fork();
    if (child == 0) _exit(open(path.c_str(), O_RDONLY) < 0 ? 1 : 0);
    int status = 1;
    waitpid(child, &status, 0);
    return status;
  });
  std::vector<Record> opens = kernel_side().events(KT_EV_OPEN, 0);
  std::erase_if(opens, [&](const Record& one) { return joined(one.rest<ev_open>()) != path; });
  ASSERT_EQ(opens.size(), 2U);
  EXPECT_EQ(opens[0].head().tgid, tgid);
  EXPECT_EQ(opens[0].head().uid, getuid());
  EXPECT_EQ(opens[1].head().uid, 65534U);
  EXPECT_EQ(opens[1].head().gid, 65533U);
  EXPECT_EQ(opens[1].head().login_uid, opens[0].head().login_uid);
}

}  // namespace
}  // namespace keytrail::tests
