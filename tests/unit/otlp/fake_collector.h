// SPDX-License-Identifier: Apache-2.0
// For the tests of the exporter: a queue of rows in memory, and a small HTTP server of sockets that answers from a
// list.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <mutex>
#include <thread>

#include "keytrail/row_queue.h"

namespace keytrail::otlp::test {

using std::chrono::milliseconds;
using Time = std::chrono::steady_clock;

class FakeQueue final : public RowQueue {
 public:
  [[nodiscard]] std::array<std::uint8_t, 16> history_id() const override { return {5}; }
  Result<void> open(const std::string&, bool) override { return {}; }
  Result<std::vector<Row>> read(const std::string&, std::uint64_t, std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    std::vector<Row> out;
    for (const Row& row : rows_) {
      if (row.seq > cursor_ && out.size() < limit) out.push_back(row);
    }
    return out;
  }
  Result<std::vector<Row>> read_any(std::uint64_t after, std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    std::vector<Row> out;
    for (const Row& row : rows_) {
      if (row.seq > after && out.size() < limit) out.push_back(row);
    }
    return out;
  }
  Result<void> settle(const std::string&, std::uint64_t up_to, std::uint64_t rejected) override {
    const std::lock_guard lock(mutex_);
    counters_.acknowledged += up_to - cursor_ - rejected;
    counters_.rejected += rejected;
    cursor_ = up_to;
    return {};
  }
  Result<ExportCounters> counters(const std::string&) override {
    const std::lock_guard lock(mutex_);
    ExportCounters out = counters_;
    out.rows = rows_.size();
    out.waiting = rows_.size() - cursor_;
    return out;
  }
  void on_append(std::function<void()>) override {}
  /// The cursor of an exporter that is new.
  void begin_at(std::uint64_t seq) {
    const std::lock_guard lock(mutex_);
    cursor_ = seq;
  }
  void add(Row row) { add(std::vector<Row>{std::move(row)}); }
  /// All at once, as one batch has them.
  void add(const std::vector<Row>& rows) {
    const std::lock_guard lock(mutex_);
    rows_.insert(rows_.end(), rows.begin(), rows.end());
  }

 private:
  std::mutex mutex_;
  std::vector<Row> rows_;
  std::uint64_t cursor_ = 0;
  ExportCounters counters_;
};

/// Answers the requests in turn with the texts given, the last one for ever, or as it is told for each; an empty text:
/// no answer at all.
class FakeCollector {
 public:
  using Choose = std::function<std::string(const std::string& request)>;
  explicit FakeCollector(std::vector<std::string> answers)
      : FakeCollector([answers = std::move(answers), at = std::size_t{0}](const std::string&) mutable {
          return answers[std::min(at++, answers.size() - 1)];
        }) {}
  explicit FakeCollector(Choose choose) : choose_(std::move(choose)), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeCollector() {
    shutdown(listener_, SHUT_RDWR);
    {
      const std::lock_guard lock(mutex_);
      if (peer_ >= 0) shutdown(peer_, SHUT_RDWR);
    }
    thread_.join();
    close(listener_);
  }
  [[nodiscard]] std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (int peer = accept(listener_, nullptr, nullptr); peer >= 0; peer = accept(listener_, nullptr, nullptr)) {
      set_peer(peer);
      while (one(peer)) {
      }
      set_peer(-1);
      close(peer);
    }
  }
  void set_peer(int peer) {
    const std::lock_guard lock(mutex_);
    peer_ = peer;
  }
  bool one(int peer) {
    std::string in;
    std::size_t want = std::string::npos;
    char piece[4096];
    while (in.size() < want) {
      const ssize_t got = read(peer, piece, sizeof(piece));
      if (got <= 0) return false;
      in.append(piece, static_cast<std::size_t>(got));
      const auto head = in.find("\r\n\r\n");
      const auto length = in.find("Content-Length: ");
      if (head != std::string::npos && length < head) want = head + 4 + std::stoul(in.substr(length + 16));
    }
    std::string answer;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(in);
      answer = choose_(in);
    }
    if (answer.empty()) return read(peer, piece, 1) > 0;  // hangs until the client goes
    return write(peer, answer.data(), answer.size()) == static_cast<ssize_t>(answer.size());
  }

  Choose choose_;
  int listener_;
  int port_ = 0;
  std::mutex mutex_;
  int peer_ = -1;
  std::vector<std::string> requests_;
  std::thread thread_;
};

inline std::string http(const std::string& status, const std::string& body = {}, const std::string& headers = {}) {
  return "HTTP/1.1 " + status + "\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

inline bool eventually(const std::function<bool()>& done) {
  for (const auto until = Time::now() + std::chrono::seconds(5); Time::now() < until;
       std::this_thread::sleep_for(milliseconds(5))) {
    if (done()) return true;
  }
  return done();
}

inline std::string body_of(const std::string& request) { return request.substr(request.find("\r\n\r\n") + 4); }

}  // namespace keytrail::otlp::test
