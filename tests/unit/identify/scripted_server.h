// SPDX-License-Identifier: Apache-2.0
// An HTTP server of sockets that answers as the test says: for what a real API server cannot be made to answer.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include "agent/base/fd.h"
#include "tests/unit/loopback.h"

namespace keytrail::identify {

class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  /// False: the client has gone.
  bool say(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t done = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (done <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(done));
    }
    return true;
  }
  void answer(int status, std::string_view body, const std::string& headers = "") const {
    // In one piece, or the second waits for the acknowledgement of the first.
    say("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
        headers + "\r\n" + std::string(body));
  }
  void begin_stream() const { say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"); }
  bool piece(std::string_view text) const {
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", text.size());
    return say(size) && say(text) && say("\r\n");
  }
  void end_stream() const { say("0\r\n\r\n"); }
  /// Until the client goes.
  void wait_for_end() const {
    char one;
    while (::recv(fd_, &one, 1, 0) > 0) {
    }
  }

 private:
  int fd_;
};

/// Each connection on a thread of its own; each request on it goes to `talk`, which returns false to close it.
class ScriptedServer {
 public:
  using Talk = std::function<bool(const Peer&, const std::string& request)>;

  explicit ScriptedServer(Talk talk) : talk_(std::move(talk)) {
    std::tie(listener_, port_) = base::listen_on_loopback();
    accepting_ = std::thread([this] { accept(); });
  }
  /// The client must have ended.
  ~ScriptedServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    accepting_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const base::UniqueFd& one : peers_)
        ::shutdown(one.get(), SHUT_RDWR);
    }
    for (std::thread& one : talking_)
      one.join();
  }

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  /// First lines of all requests so far.
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void accept() {
    for (int fd = ::accept(listener_.get(), nullptr, nullptr); fd >= 0;
         fd = ::accept(listener_.get(), nullptr, nullptr)) {
      const std::lock_guard lock(mutex_);
      peers_.emplace_back(fd);
      talking_.emplace_back([this, fd] { serve(fd); });
    }
  }

  void serve(int fd) {
    std::string in;
    char piece[4096];
    for (;;) {
      while (!in.contains("\r\n\r\n")) {
        const ssize_t got = ::recv(fd, piece, sizeof piece, 0);
        if (got <= 0) return;
        in.append(piece, static_cast<std::size_t>(got));
      }
      const std::string request = in.substr(0, in.find("\r\n\r\n") + 4);
      in.erase(0, request.size());
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request.substr(0, request.find('\r')));
      }
      if (!talk_(Peer(fd), request)) break;
    }
    ::shutdown(fd, SHUT_RDWR);
  }

  Talk talk_;
  base::UniqueFd listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::vector<base::UniqueFd> peers_;
  std::vector<std::thread> talking_;
  std::thread accepting_;
};

}  // namespace keytrail::identify
