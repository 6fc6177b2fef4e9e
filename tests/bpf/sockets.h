// SPDX-License-Identifier: Apache-2.0
// Loopback addresses and whole messages.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {

inline sockaddr_in loopback4(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

inline sockaddr_in6 loopback6(std::uint16_t port) {
  sockaddr_in6 out{};
  out.sin6_family = AF_INET6;
  out.sin6_port = htons(port);
  out.sin6_addr = in6addr_loopback;
  return out;
}

inline bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd, bytes.data(), std::min<std::size_t>(bytes.size(), 16'384), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
    if (bytes.size() > 200'000) return false;  // more than the buffers hold: nobody reads yet
  }
  return true;
}

inline bool receive_all(int fd, std::size_t count) {
  std::string buffer(16'384, '\0');
  while (count > 0) {
    const ssize_t n = recv(fd, buffer.data(), std::min(count, buffer.size()), 0);
    if (n <= 0) return false;
    count -= static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace keytrail::tests
