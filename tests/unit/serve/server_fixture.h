// SPDX-License-Identifier: Apache-2.0
// The server on a real Unix socket, over a history and an agent of constants. Plain sockets on the other side.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <string>

#include "agent/base/fd.h"
#include "agent/serve/server.h"
#include "tests/unit/serve/fake_agent.h"

namespace keytrail::serve {

using namespace testing;
using namespace std::chrono_literals;

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    history_.stored = {make_row(1, make_acquisition()), make_row(2, make_use())};
    history_.state_now.oldest_ns = kNoon;
    options_.path = directory_.file("api.sock");
    options_.request_timeout = 400ms;
    options_.write_timeout = 1s;
    options_.heartbeat = 100ms;
  }
  void start() {
    server_ = std::make_unique<Server>(options_, history_, status_, catalog::Catalog::builtin());
    const Result<void> started = server_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  base::UniqueFd connect() const {
    base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, options_.path.data(), options_.path.size());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
    return fd;
  }
  static void say(const base::UniqueFd& fd, const std::string& text) {
    static_cast<void>(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL));
  }
  /// Reads until `until` was seen, the end, or the time is over.
  static std::string hear(const base::UniqueFd& fd, const std::string& until = "\r\n\r\n\r\n",
                          std::chrono::milliseconds limit = 3s) {
    std::string out;
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!out.contains(until) && std::chrono::steady_clock::now() < deadline) {
      pollfd wait{fd.get(), POLLIN, 0};
      if (::poll(&wait, 1, 50) <= 0) continue;
      char buffer[4096];
      const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (got <= 0) break;
      out.append(buffer, static_cast<std::size_t>(got));
    }
    return out;
  }
  std::string ask(const std::string& request) const {
    const base::UniqueFd fd = connect();
    say(fd, request);
    return hear(fd);
  }
  static std::string get(const std::string& target, const std::string& headers = "Connection: close\r\n") {
    return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n";
  }

  TemporaryDirectory directory_;
  FakeHistory history_;
  FakeStatus status_;
  ServeOptions options_;
  std::unique_ptr<Server> server_;
};

}  // namespace keytrail::serve
