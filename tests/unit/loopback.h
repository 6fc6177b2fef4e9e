// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdint>
#include <utility>

#include "agent/base/fd.h"

namespace keytrail::base {

/// A TCP socket that listens on a free port of 127.0.0.1, and that port.
inline std::pair<UniqueFd, std::uint16_t> listen_on_loopback() {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
  EXPECT_EQ(::listen(listener.get(), 8), 0);
  EXPECT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
  return {std::move(listener), ntohs(at.sin_port)};
}

}  // namespace keytrail::base
