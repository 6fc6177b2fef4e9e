// SPDX-License-Identifier: Apache-2.0
// The server on a real Unix socket: peers, bounds, malformed requests, the log. Plain sockets on the other side.
#include "agent/serve/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <sstream>
#include <thread>

#include "agent/base/fd.h"
#include "agent/serve/share.h"
#include "tests/unit/serve/server_fixture.h"

namespace keytrail::serve {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

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

TEST_F(ServerTest, SeventyThatSayNothingKeepNobodyFromAnAnswer) {
  std::atomic<uid_t> uid = 1000;
  options_.group = 991;
  options_.peer_of = [&](int) -> Result<Peer> { return Peer{77, uid, 991, {}, PeerPlace::kOurs}; };
  options_.request_timeout = 5s;
  options_.reserve_timeout = 200ms;
  start();
  std::vector<base::UniqueFd> silent;
  for (int i = 0; i < 70; ++i)
    silent.push_back(connect());
  std::this_thread::sleep_for(500ms);  // whoever says nothing leaves the reserve
  EXPECT_THAT(ask(get("/v1/status")), StartsWith("HTTP/1.1 200")) << "the same user";
  EXPECT_THAT(ask(get("/v1/rows")), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("\"code\":\"busy\"")));
  uid = 1001;
  EXPECT_THAT(ask(get("/v1/rows")), StartsWith("HTTP/1.1 200")) << "another";
}

TEST_F(ServerTest, TheLogSaysWhoAskedWhatAndNothingThatWasTyped) {
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  start();
  EXPECT_THAT(ask(get("/v1/uses?key=hunter2&workload=hunter2")), StartsWith("HTTP/1.1 200"));
  ask("HUNTER2hunter2 /v1/uses HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  ask("hunter2\r\n\r\n");
  server_->stop();
  spdlog::set_default_logger(before);
  EXPECT_THAT(log.str(), HasSubstr("GET /v1/uses?key=(unknown)&workload -> 200"));
  EXPECT_THAT(log.str(), HasSubstr("pid=" + std::to_string(::getpid()) + " program=serve_test "));
  EXPECT_THAT(log.str(), AllOf(Not(HasSubstr("hunter2")), Not(HasSubstr("HUNTER2"))));
}

TEST(Share, AUserThatHasNoneIsLetInThoughOthersHaveAll) {
  Share share(4, 2, 1);
  std::vector<Share::Taken> taken;
  for (const uid_t uid : {1000U, 1000U, 1001U, 1001U})
    taken.push_back(share.take(uid));
  EXPECT_FALSE(share.take(1000));
  const Share::Taken first = share.take(1002);
  EXPECT_TRUE(first);
  EXPECT_FALSE(share.take(1002)) << "only the first one";
  EXPECT_FALSE(share.take(1003)) << "so many are bounded, too";
  taken.pop_back();
  EXPECT_FALSE(share.take(1001));
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
  EXPECT_EQ(peer_of(mine.get())->program, "serve_test");
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
  EXPECT_EQ(peer->program, "");
}

}  // namespace
}  // namespace keytrail::serve
