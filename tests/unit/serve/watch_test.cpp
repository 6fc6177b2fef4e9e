// SPDX-License-Identifier: Apache-2.0
// Watching streams of the server: what they give, when they end, how many there may be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/times.h"
#include "tests/unit/serve/server_fixture.h"

namespace keytrail::serve {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(ServerTest, WatchesAreBoundedAndTheOthersAreAnswered) {
  options_.max_watches = 3;
  options_.watches_of_one = 2;
  options_.heartbeat = 10s;
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
  std::this_thread::sleep_for(300ms);  // that nobody is there is noticed at once, not by the next heartbeat
  const base::UniqueFd again = connect();
  say(again, get("/v1/watch"));
  EXPECT_THAT(hear(again, ": watching"), HasSubstr("200 OK"));
}

TEST_F(ServerTest, SeventyIdleWatchersOfOneUserKeepNobodyFromAnAnswer) {
  std::atomic<uid_t> uid = 1000;
  options_.group = 991;
  options_.peer_of = [&](int) -> Result<Peer> { return Peer{77, uid, 991, {}, PeerPlace::kOurs}; };
  options_.heartbeat = 10s;
  start();
  std::vector<base::UniqueFd> watching;
  for (int i = 0; i < 70; ++i) {
    watching.push_back(connect());
    say(watching.back(), get("/v1/watch"));
  }
  std::this_thread::sleep_for(300ms);  // those over the bound are told so and let go
  EXPECT_THAT(ask(get("/v1/status")), StartsWith("HTTP/1.1 200")) << "the same user";
  EXPECT_THAT(ask(get("/v1/rows")), StartsWith("HTTP/1.1 200")) << "the same user";
  uid = 1001;
  EXPECT_THAT(ask(get("/v1/rows")), StartsWith("HTTP/1.1 200")) << "another";
  const base::UniqueFd other = connect();
  say(other, get("/v1/watch"));
  EXPECT_THAT(hear(other, ": watching"), HasSubstr("200 OK")) << "another";
}

TEST_F(ServerTest, AWatcherThatSaysSomethingAndLeavesMakesRoom) {
  options_.max_watches = options_.watches_of_one = 1;
  options_.heartbeat = 10s;
  start();
  base::UniqueFd talking = connect();
  say(talking, get("/v1/watch"));
  EXPECT_THAT(hear(talking, ": watching"), HasSubstr("200 OK"));
  for (int i = 0; i < 3; ++i) {
    say(talking, "what else?\r\n\r\n");
    std::this_thread::sleep_for(20ms);
  }
  server_->on_rows({make_row(3, make_use())});
  EXPECT_THAT(hear(talking, "id: 3"), HasSubstr("id: 3")) << "what it says changes nothing";
  EXPECT_THAT(ask(get("/v1/watch")), StartsWith("HTTP/1.1 503")) << "it is there";
  say(talking, "good-bye");
  talking.reset();
  const auto begin = std::chrono::steady_clock::now();
  std::string answer;
  while (!answer.contains("200 OK") && std::chrono::steady_clock::now() - begin < 3s) {
    const base::UniqueFd next = connect();
    say(next, get("/v1/watch"));
    answer = hear(next, "\n\n", 200ms);
  }
  EXPECT_THAT(answer, HasSubstr("200 OK")) << "its end is noticed at once, not by the next heartbeat";
}

TEST_F(ServerTest, AWatcherThatTalksWithoutEndIsEnded) {
  options_.heartbeat = 10s;
  start();
  const base::UniqueFd talking = connect(), listening = connect();
  for (const base::UniqueFd* fd : {&talking, &listening}) {
    say(*fd, get("/v1/watch"));
    EXPECT_THAT(hear(*fd, ": watching\n\n"), HasSubstr("200 OK"));
  }
  ::shutdown(listening.get(), SHUT_WR);  // it says no more, and listens on
  for (int i = 0; i < 20; ++i)
    say(talking, std::string(4096, 'x'));
  const auto begin = std::chrono::steady_clock::now();
  hear(talking, "never");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
  server_->on_rows({make_row(3, make_use())});
  EXPECT_THAT(hear(listening, "id: 3"), HasSubstr("id: 3"));
}

std::string in_time(std::chrono::milliseconds from_now) {
  const auto at = std::chrono::system_clock::now() + from_now;
  return base::format_rfc3339(std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count());
}

TEST_F(ServerTest, AWatchEndsWithItsTimeAndHasWhatWasStoredLast) {
  options_.watch_settle = 100ms;
  start();
  const auto begin = std::chrono::steady_clock::now();
  const base::UniqueFd fd = connect();
  say(fd, get("/v1/watch?until=" + in_time(700ms)));
  EXPECT_THAT(hear(fd, ": watching\n\n"), HasSubstr("200 OK"));
  history_.append(make_row(3, make_use()));  // nobody says that it is there
  const std::string rest = hear(fd);
  EXPECT_THAT(rest, HasSubstr("id: 3\n"));
  EXPECT_TRUE(rest.ends_with("event: end\ndata: {}\n\n")) << rest;
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took, 600ms);
  EXPECT_LT(took, 3s);
}

TEST_F(ServerTest, AWatchWhoseTimeIsOverEndsAtOnce) {
  start();
  const std::string none = ask(get("/v1/watch?until=2025-11-22T00:00:00Z"));
  EXPECT_THAT(none, HasSubstr("event: end"));
  EXPECT_THAT(none, Not(HasSubstr("event: row"))) << "what was is not asked for";
  const std::string past = ask(get("/v1/watch?since=2025-11-21T00:00:00Z&until=2025-11-22T00:00:00Z"));
  EXPECT_THAT(past, AllOf(HasSubstr("id: 1\n"), HasSubstr("id: 2\n"), HasSubstr("event: end")));
}

TEST_F(ServerTest, AWatcherThatTakesNothingIsEnded) {
  options_.not_taken_timeout = 400ms;
  start();
  const base::UniqueFd idle = connect(), reading = connect();
  say(idle, get("/v1/watch"));
  say(reading, get("/v1/watch"));
  EXPECT_THAT(hear(reading, "never", 1200ms), HasSubstr(": still here")) << "its heartbeats are taken";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(hear(idle), HasSubstr("200 OK")) << "what lay there";
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s) << "and the end, at once";
  server_->on_rows({make_row(3, make_use())});
  EXPECT_THAT(hear(reading, "id: 3"), HasSubstr("id: 3"));
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

}  // namespace
}  // namespace keytrail::serve
