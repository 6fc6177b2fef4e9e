// SPDX-License-Identifier: Apache-2.0
// What a process gets of another one without opening a key file: its descriptors, its environment, its memory.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

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

}  // namespace
}  // namespace keytrail::tests
