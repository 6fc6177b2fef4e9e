// SPDX-License-Identifier: Apache-2.0
// The server on a real Unix socket: peers, bounds, malformed requests, streams. Plain sockets on the other side.
#include "agent/serve/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "agent/base/fd.h"
#include "tests/unit/serve/fake_agent.h"

namespace keytrail::serve {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

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

TEST_F(ServerTest, AnswersOverTheSocketAndKeepsTheConnection) {
  start();
  struct stat info{};
  ASSERT_EQ(::stat(options_.path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0660U);
  const base::UniqueFd fd = connect();
  for (int i = 0; i < 3; ++i) {
    say(fd, get("/v1/rows", ""));
    const std::string answer = hear(fd, "\"cursor\":null}\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK"));
    EXPECT_THAT(answer, HasSubstr("application/json"));
    EXPECT_THAT(answer, HasSubstr("AKIAIOSFODNN7EXAMPLE"));
  }
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  start();
  const std::string answer = ask(get("/v1/explain/1", "") + get("/v1/explain/99"));
  EXPECT_LT(answer.find("200 OK"), answer.find("404 Not Found"));
}

TEST_F(ServerTest, HeadHasNoBody) {
  start();
  const std::string answer = ask("HEAD /v1/rows HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
}

TEST_F(ServerTest, StrangersAreRefusedWithASentence) {
  options_.peer_of = [](int) -> Result<Peer> { return Peer{77, 65534, 65534, {65534}, PeerPlace::kOurs}; };
  start();
  const std::string answer = ask(get("/v1/rows"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(answer, HasSubstr("refused uid 65534"));
  EXPECT_THAT(answer, HasSubstr("needs root or group"));
  EXPECT_THAT(answer, Not(HasSubstr("AKIA")));
}

TEST_F(ServerTest, MalformedRequestsGetA4xxAndTheServerLives) {
  start();
  EXPECT_THAT(ask("\x16\x03\x01\x02nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("GET /v1/rows HTTP/1.1\r\nHost: a\r\nX: " + std::string(1U << 20U, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(ask("GET /v1/rows HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(
      ask("GET /v1/rows HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
      StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(ask("GET /v1/rows HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("DELETE /v1/rows HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), HasSubstr("Allow: GET, HEAD"));
  EXPECT_THAT(ask(get("/v1/rows")), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, SlowRequestsAreCutOffWhileOthersAreServed) {
  start();
  std::vector<base::UniqueFd> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(connect());
    say(slow.back(), "GET /v1/ro");
  }
  EXPECT_THAT(ask(get("/v1/rows")), StartsWith("HTTP/1.1 200"));
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) {  // a byte now and then does not help
    std::this_thread::sleep_for(100ms);
    say(slow.back(), "w");
  }
  for (const base::UniqueFd& fd : slow)
    EXPECT_EQ(hear(fd), "");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

TEST_F(ServerTest, WhereNoConnectionIsLeftTheStatusIsAnswered) {
  options_.max_connections = 4;
  options_.reserve = 4;
  options_.request_timeout = 2s;
  options_.reserve_timeout = 200ms;
  start();
  std::vector<base::UniqueFd> idle;
  for (int i = 0; i < 5; ++i)
    idle.push_back(connect());
  EXPECT_THAT(ask(get("/v1/status", "")), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(ask(get("/v1/rows")), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("too many connections")));
  idle.push_back(connect());
  EXPECT_THAT(hear(connect()), StartsWith("HTTP/1.1 503")) << "not even of the reserve";
  std::this_thread::sleep_for(300ms);
  EXPECT_THAT(ask(get("/v1/status")), StartsWith("HTTP/1.1 200")) << "whoever asks nothing leaves the reserve";
  idle.clear();
  std::string answer;
  for (int i = 0; i < 50 && !answer.starts_with("HTTP/1.1 200"); ++i) {
    std::this_thread::sleep_for(10ms);
    answer = ask(get("/v1/rows"));
  }
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, OneUserLeavesRoomForOthers) {
  std::atomic<uid_t> uid = 1000;
  options_.group = 991;
  options_.peer_of = [&](int) -> Result<Peer> { return Peer{77, uid, 991, {}, PeerPlace::kOurs}; };
  options_.max_connections = 4;
  options_.connections_of_one = 2;
  options_.reserve = 0;
  options_.request_timeout = 2s;
  start();
  const base::UniqueFd first = connect(), second = connect();
  EXPECT_THAT(ask(get("/v1/rows")), StartsWith("HTTP/1.1 503"));
  uid = 1001;
  EXPECT_THAT(ask(get("/v1/rows")), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, WatchesAreBoundedAndTheOthersAreAnswered) {
  options_.max_watches = 3;
  options_.watches_of_one = 2;
  start();
  std::vector<base::UniqueFd> watching;
  for (int i = 0; i < 2; ++i) {
    watching.push_back(connect());
    say(watching.back(), get("/v1/watch"));
    EXPECT_THAT(hear(watching.back(), ": watching"), HasSubstr("200 OK"));
  }
  EXPECT_THAT(ask(get("/v1/watch")), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("too many watches")));
  EXPECT_THAT(ask(get("/v1/rows")), StartsWith("HTTP/1.1 200"));
  watching.clear();
  std::this_thread::sleep_for(300ms);  // its heartbeat finds that nobody is there
  const base::UniqueFd again = connect();
  say(again, get("/v1/watch"));
  EXPECT_THAT(hear(again, ": watching"), HasSubstr("200 OK"));
}

TEST_F(ServerTest, WatchGivesNewRowsAsTheyCome) {
  start();
  const base::UniqueFd fd = connect();
  say(fd, get("/v1/watch?kinds=use"));
  EXPECT_THAT(hear(fd, ": watching\n\n"), HasSubstr("text/event-stream"));
  server_->on_rows({make_row(3, make_use()), make_row(4, make_acquisition())});
  const std::string pushed = hear(fd, "id: 3");
  EXPECT_THAT(pushed, HasSubstr("event: row"));
  EXPECT_THAT(pushed, Not(HasSubstr("id: 2\n"))) << "what is older was not asked for";
  EXPECT_THAT(hear(fd, ": still here"), HasSubstr(": still here"));
}

TEST_F(ServerTest, WatchReadsTheHistoryWhenItIsNotified) {
  start();
  const base::UniqueFd fd = connect();
  say(fd, get("/v1/watch"));
  hear(fd, ": watching\n\n");
  history_.append(make_row(3, make_use()));
  server_->notify();
  EXPECT_THAT(hear(fd, "id: 3"), HasSubstr("id: 3"));
}

TEST_F(ServerTest, WatchResumesAfterTheLastEventId) {
  start();
  const base::UniqueFd fd = connect();
  say(fd, get("/v1/watch", "Last-Event-ID: 1\r\n"));
  const std::string text = hear(fd, "id: 2");
  EXPECT_THAT(text, HasSubstr("id: 2\n"));
  EXPECT_THAT(text, Not(HasSubstr("id: 1\n")));
}

TEST_F(ServerTest, ASlowWatcherIsToldHowManyItMissed) {
  options_.watch_queue = 4;
  start();
  const base::UniqueFd fd = connect();
  say(fd, get("/v1/watch"));
  hear(fd, ": watching\n\n");
  std::vector<Row> rows;
  for (std::uint64_t seq = 3; seq < 103; ++seq)
    rows.push_back(make_row(seq, make_use()));
  server_->on_rows(std::move(rows));
  EXPECT_THAT(hear(fd, "\"missed\""), HasSubstr("{\"missed\":96}"));
}

TEST_F(ServerTest, StopEndsEveryConnection) {
  start();
  const base::UniqueFd idle = connect();
  const base::UniqueFd watching = connect();
  say(watching, get("/v1/watch"));
  hear(watching, ": watching\n\n");
  server_->stop();
  server_->stop();
  server_->notify();
  server_->on_rows({make_row(9, make_use())});
  EXPECT_EQ(hear(watching, "never", 500ms).find("id: 9"), std::string::npos);
}

TEST_F(ServerTest, AnInheritedSocketIsTakenOver) {
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, options_.path.data(), options_.path.size());
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd.get(), 8), 0);
  options_.listen_fd = fd.release();
  start();
  EXPECT_THAT(ask(get("/v1/status")), StartsWith("HTTP/1.1 200"));
}

TEST(Refusal, RootOwnUserAndGroupMembersMayAsk) {
  const PeerRule rule{990, gid_t{991}};
  EXPECT_EQ(refusal({1, 0, 0, {}, PeerPlace::kOurs}, rule), "");
  EXPECT_EQ(refusal({1, 990, 5, {}, PeerPlace::kOurs}, rule), "");
  EXPECT_EQ(refusal({1, 1000, 991, {}, PeerPlace::kOurs}, rule), "");
  EXPECT_EQ(refusal({1, 1000, 1000, {27, 991}, PeerPlace::kOurs}, rule), "");
  EXPECT_THAT(refusal({1, 1000, 1000, {27}, PeerPlace::kOurs}, rule), HasSubstr("refused uid 1000"));
  EXPECT_THAT(refusal({1, 1000, 0, {}, PeerPlace::kOurs}, PeerRule{990, gid_t{0}}), HasSubstr("refused"))
      << "the group of root admits nobody";
  EXPECT_THAT(refusal({1, 65534, 65534, {}, PeerPlace::kOurs}, PeerRule{std::nullopt, gid_t{0}}), HasSubstr("refused"))
      << "an agent that runs as nobody";
  EXPECT_THAT(refusal({1, 0, 0, {}, PeerPlace::kBelow}, rule), HasSubstr("inside a container"));
  EXPECT_THAT(refusal({1, 0, 0, {}, PeerPlace::kUnknown}, rule), HasSubstr("refused")) << "what cannot be told";
}

TEST(PeerOf, AProcessThatHasEndedIsInNoKnownPlace) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const base::UniqueFd mine(pair[0]), also(pair[1]);
  EXPECT_EQ(peer_of(mine.get())->place, PeerPlace::kOurs);
  base::UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t length = sizeof(sa_family_t);  // the kernel chooses a name
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  length = sizeof address;
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ::_exit(::connect(fd, reinterpret_cast<sockaddr*>(&address), length));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  const base::UniqueFd accepted(::accept(listener.get(), nullptr, nullptr));
  const Result<Peer> peer = peer_of(accepted.get());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->place, PeerPlace::kUnknown);
}

}  // namespace
}  // namespace keytrail::serve
