// SPDX-License-Identifier: Apache-2.0
#include "agent/restart.h"

#include <gtest/gtest.h>

#include "agent/session.h"

namespace keytrail {
namespace {

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;

void expect(const RestartGap& gap, std::uint64_t from_ns, std::uint64_t to_ns, const char* cause,
            std::optional<std::uint64_t> lost) {
  EXPECT_EQ(gap.from_ns, from_ns);
  EXPECT_EQ(gap.to_ns, to_ns);
  EXPECT_STREQ(gap.cause, cause);
  EXPECT_EQ(gap.lost, lost);
}

TEST(Restart, WhatIsNotCountedIsNotKnown) {
  Beginning at{.now_ns = 30 * kSecond, .armed_ns = 10 * kSecond, .settled_ns = 20 * kSecond, .same_rings = true};
  at.lost.reset();
  at.untold = 3;
  const Restart out = begin_again(at);
  ASSERT_EQ(out.gaps.size(), 1U);
  expect(out.gaps[0], 20 * kSecond, 30 * kSecond, "worker_restart", std::nullopt);
  EXPECT_EQ(out.gaps[0].text,
            "an unknown number of events were lost, and the account of 3 things that had been given up.");
}

TEST(Restart, AFirstStartHasNoGap) {
  const Restart out = begin_again({.now_ns = 11 * kSecond, .armed_ns = 10 * kSecond});
  EXPECT_TRUE(out.gaps.empty());
  EXPECT_EQ(out.watched_ns, 10 * kSecond);
}

TEST(Restart, BetweenTwoWardensNothingIsKnownFromWhatIsSettledOn) {
  Beginning at{.now_ns = 11 * kSecond, .armed_ns = 10 * kSecond, .settled_ns = 5 * kSecond, .has_past = true};
  at.ended_ns = 6 * kSecond;
  Restart out = begin_again(at);
  ASSERT_EQ(out.gaps.size(), 1U);
  expect(out.gaps[0], 5 * kSecond, 10 * kSecond, "agent_restart", std::nullopt);
  EXPECT_EQ(out.watched_ns, 10 * kSecond);
  at.settled_ns = 0;  // of another boot: the wall clock says when
  expect(begin_again(at).gaps.at(0), 6 * kSecond, 10 * kSecond, "agent_restart", std::nullopt);
}

TEST(Restart, WithinAWardensLifeTheCountIsExactAndTimeIsWatchedOn) {
  const Restart out = begin_again({.now_ns = 30 * kSecond,
                                   .armed_ns = 10 * kSecond,
                                   .settled_ns = 29 * kSecond,
                                   .has_past = true,
                                   .same_rings = true,
                                   .later_life = true,
                                   .lost = 7});
  ASSERT_EQ(out.gaps.size(), 1U);
  expect(out.gaps[0], 29 * kSecond, 30 * kSecond, "worker_restart", 7);
  EXPECT_EQ(out.watched_ns, 29 * kSecond);
}

TEST(Restart, WhatWasGivenUpAndNoRowSaidIsLostWithTheWorker) {
  Beginning at{.now_ns = 30 * kSecond,
               .armed_ns = 10 * kSecond,
               .settled_ns = 27 * kSecond,
               .has_past = true,
               .same_rings = true,
               .later_life = true,
               .untold = 4};
  const Restart out = begin_again(at);
  ASSERT_EQ(out.gaps.size(), 1U);
  expect(out.gaps[0], 27 * kSecond, 30 * kSecond, "worker_restart", 4);
  EXPECT_EQ(out.gaps[0].text, "0 events were lost, and the account of 4 things that had been given up.");
}

TEST(Restart, ASecondWorkerTellsWhatTheFirstDidNotLiveToStore) {
  const Restart out = begin_again({.now_ns = 12 * kSecond,
                                   .armed_ns = 10 * kSecond,
                                   .settled_ns = 5 * kSecond,
                                   .has_past = true,
                                   .later_life = true,
                                   .lost = 3});
  ASSERT_EQ(out.gaps.size(), 2U);
  expect(out.gaps[0], 5 * kSecond, 10 * kSecond, "agent_restart", std::nullopt);
  expect(out.gaps[1], 10 * kSecond, 12 * kSecond, "worker_restart", 3);
}

/// The warden was killed at 100 s, and the worker with it.
Beginning killed() {
  return {.now_ns = 104 * kSecond,
          .armed_ns = 103 * kSecond,
          .settled_ns = 99'950 * kMs,
          .has_past = true,
          .same_rings = true,
          .resumed = true,
          .beat_ns = 98 * kSecond,
          .read_after = 40,
          .lost = 2};
}

TEST(Restart, AfterAKilledWardenTheGapBeginsAtItsLastHeartbeat) {
  const Restart out = begin_again(killed());
  ASSERT_EQ(out.gaps.size(), 1U);
  expect(out.gaps[0], 98 * kSecond, 103 * kSecond, "agent_restart", std::nullopt);
  EXPECT_NE(out.gaps[0].text.find(" 40 events were read"), std::string::npos) << out.gaps[0].text;
  EXPECT_NE(out.gaps[0].text.find(" 2 were lost"), std::string::npos) << out.gaps[0].text;
  EXPECT_EQ(out.watched_ns, 99'950 * kMs);
}

TEST(Restart, AHeartbeatAfterWhatIsSettledProvesNoWatchedTime) {
  Beginning at = killed();
  at.settled_ns = 90 * kSecond;  // killed then; the next one beat at 98 s and was killed before its worker stored
  const Restart out = begin_again(at);
  ASSERT_EQ(out.gaps.size(), 1U);
  expect(out.gaps[0], 90 * kSecond, 103 * kSecond, "agent_restart", std::nullopt);
  EXPECT_EQ(out.watched_ns, 90 * kSecond);
}

TEST(Restart, WithoutAHeartbeatTheGapBeginsAtWhatIsSettled) {
  Beginning at = killed();
  at.beat_ns = 0;
  expect(begin_again(at).gaps.at(0), 99'950 * kMs, 103 * kSecond, "agent_restart", std::nullopt);
}

TEST(Restart, ASecondWorkerAfterAKilledWardenTellsBothGaps) {
  Beginning at = killed();
  at.later_life = true;
  const Restart out = begin_again(at);
  ASSERT_EQ(out.gaps.size(), 2U);
  expect(out.gaps[0], 99'950 * kMs, 104 * kSecond, "worker_restart", 2);
  expect(out.gaps[1], 98 * kSecond, 103 * kSecond, "agent_restart", std::nullopt);
}

TEST(Restart, OnceItIsToldAWorkersRestartIsOneAsAnyOther) {
  Beginning at = killed();
  at.settled_ns = 110 * kSecond;
  at.now_ns = 111 * kSecond;
  const Restart out = begin_again(at);
  ASSERT_EQ(out.gaps.size(), 1U);
  expect(out.gaps[0], 110 * kSecond, 111 * kSecond, "worker_restart", 2);
}

TEST(Restart, RingsThatTheHistoryDoesNotKnowAddNoWatchedTime) {
  Beginning at = killed();
  at.same_rings = false;  // its worker never stored anything
  const Restart out = begin_again(at);
  ASSERT_EQ(out.gaps.size(), 1U);
  expect(out.gaps[0], 99'950 * kMs, 103 * kSecond, "agent_restart", std::nullopt);
  EXPECT_EQ(out.watched_ns, 103 * kSecond);
}

TEST(Restart, WhatRowsHaveToldOfTheKernelsLossesIsKnownToTheNextWorkerOfTheseRings) {
  WorkerCounters stored;
  stored.told["open/budget"] = 100;  // of rings before these
  Session first("one", {}, stored);
  EXPECT_EQ(first.told("open", "budget"), 0U);
  first.told("open", "budget", 7);
  first.told("open", "budget", 2);
  first.told("exec", "ring_full", 3);
  const Session second("one", first.base(), first.totals());
  EXPECT_TRUE(second.continued());
  EXPECT_EQ(second.told("open", "budget"), 9U);
  EXPECT_EQ(second.told("exec", "ring_full"), 3U);
  EXPECT_EQ(second.told("exec", "budget"), 0U);
  const Session other("two", second.base(), second.totals());
  EXPECT_EQ(other.told("open", "budget"), 0U) << "its counters begin anew";
}

}  // namespace
}  // namespace keytrail
