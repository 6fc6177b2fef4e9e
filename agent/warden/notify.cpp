// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>

#include "agent/base/fd.h"

namespace keytrail::warden {

void notify(const std::string& state) { (void)notify_with(state, {}); }

bool notify_with(const std::string& state, std::span<const int> descriptors) {
  const char* path = getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@') || descriptors.size() > kMaxNotified) return false;
  sockaddr_un address{};
  const std::size_t length = strlen(path);
  if (length >= sizeof(address.sun_path)) return false;
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const base::UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // A service manager that does not read must not hold up the warden, least of all its end.
  constexpr timeval kPatience{.tv_sec = 0, .tv_usec = 200'000};
  if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience)) != 0) return false;
  iovec text{const_cast<char*>(state.data()), state.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxNotified * sizeof(int))> control{};
  msghdr message{};
  message.msg_name = &address;
  message.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
  }
  return sendmsg(fd.get(), &message, MSG_NOSIGNAL) >= 0;
}

std::uint64_t watchdog_interval_ns() {
  const char* usec = getenv("WATCHDOG_USEC");
  const char* pid = getenv("WATCHDOG_PID");
  if (usec == nullptr || (pid != nullptr && strtol(pid, nullptr, 10) != getpid())) return 0;
  return strtoull(usec, nullptr, 10) * 1000 / 2;
}

}  // namespace keytrail::warden
