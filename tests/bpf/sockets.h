// SPDX-License-Identifier: Apache-2.0
// Loopback addresses, whole messages, ClientHellos.
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

/// Both ends of a TCP connection over loopback; -1 where it could not be made. They go with the process.
struct Connected {
  int client = -1, peer = -1;
};
inline Connected connected() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = loopback4(0);
  socklen_t length = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener, any, length) != 0 || listen(listener, 1) != 0) return {};
  getsockname(listener, any, &length);
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(client, any, length) != 0) return {};
  return {client, accept(listener, nullptr, nullptr)};
}

/// A ClientHello of `size` bytes with its header.
inline std::string handshake(std::size_t size) {
  std::string out(size, 'h');
  out[0] = 1;
  for (std::size_t i = 1, left = size - 4; i < 4; ++i)
    out[i] = static_cast<char>(left >> (8 * (3 - i)) & 0xffU);
  return out;
}

inline std::string as_records(std::string_view handshake, std::size_t size) {
  std::string out;
  for (; !handshake.empty(); handshake.remove_prefix(std::min(size, handshake.size()))) {
    const std::size_t n = std::min(size, handshake.size());
    out += std::string("\x16\x03\x01", 3) + static_cast<char>(n >> 8U) + static_cast<char>(n & 0xffU);
    out += handshake.substr(0, n);
  }
  return out;
}

}  // namespace keytrail::tests
