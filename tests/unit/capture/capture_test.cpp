// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/capture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/replay/fake_ring.h"

namespace keytrail::capture {
namespace {

using replay::FakeCounters;
using replay::FakeRing;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t kBytes = 1U << 16U;
constexpr std::uint64_t kMs = 1'000'000;

struct CaptureTest : testing::Test {
  FakeRing high{kBytes}, low{kBytes};
  FakeCounters counters{2};
  replay::FakeCgroupLosses losses;
  Capture capture = open();
  std::vector<std::uint64_t> seen;  // times, in order of delivery

  Capture open() {
    return *Capture::open({.high_ring = high.fd(),
                           .low_ring = low.fd(),
                           .counters = counters.fd(),
                           .cgroups_lost = losses.fd(),
                           .high_bytes = kBytes,
                           .low_bytes = kBytes,
                           .cpus = 2});
  }
  static void send(FakeRing& ring, std::uint64_t time_ns, std::uint32_t flags = 0) {
    ev_head head{.time_ns = time_ns};
    ASSERT_TRUE(ring.write(std::as_bytes(std::span(&head, 1)), flags));
  }
  std::size_t drain(std::uint64_t now, std::size_t max = Capture::kMaxPerDrain) {
    return capture.drain(
        now,
        [&](std::span<const std::byte> record) {
          std::uint64_t time = 0;
          std::memcpy(&time, record.data(), sizeof time);
          seen.push_back(time);
        },
        max);
  }
};

TEST_F(CaptureTest, MergesBothRingsByTime) {
  for (const auto time : std::initializer_list<std::uint64_t>{1, 4, 5})
    send(high, time * kMs);
  for (const auto time : std::initializer_list<std::uint64_t>{2, 3, 6})
    send(low, time * kMs);
  EXPECT_EQ(drain(100 * kMs), 6U);
  EXPECT_THAT(seen, ElementsAre(1 * kMs, 2 * kMs, 3 * kMs, 4 * kMs, 5 * kMs, 6 * kMs));
  EXPECT_EQ(capture.stats().late, 0U);
}

TEST_F(CaptureTest, RecordWaitsUntilItIsTenMillisecondsOld) {
  send(low, 100 * kMs);
  EXPECT_EQ(drain(109 * kMs), 0U);
  send(high, 99 * kMs);  // came later, is older: goes first
  EXPECT_EQ(drain(110 * kMs), 2U);
  EXPECT_THAT(seen, ElementsAre(99 * kMs, 100 * kMs));
}

TEST_F(CaptureTest, RecordOlderThanADeliveredOneIsDeliveredAtOnceAndCounted) {
  send(high, 50 * kMs);
  drain(100 * kMs);
  send(low, 40 * kMs);
  EXPECT_EQ(drain(100 * kMs), 1U);
  EXPECT_EQ(capture.stats().late, 1U);
}

TEST_F(CaptureTest, BusyRecordHoldsItsOwnRingOnly) {
  send(high, 1 * kMs, FakeRing::kBusy);
  send(low, 2 * kMs);
  EXPECT_EQ(drain(100 * kMs), 1U);
  high.set_last_header(sizeof(ev_head));
  EXPECT_EQ(drain(100 * kMs), 1U);
  EXPECT_EQ(capture.stats().late, 1U);
}

TEST_F(CaptureTest, WhatWaitsBehindABusyRecordIsBacklogToo) {
  send(high, 1 * kMs);
  send(high, 2 * kMs, FakeRing::kBusy);
  EXPECT_EQ(capture.backlog(), 1U) << "it is not sent yet";
  send(high, 3 * kMs);
  send(high, 4 * kMs);
  EXPECT_EQ(capture.backlog(), 3U) << "else they were taken for lost, and what is lost the next time was not";
}

TEST_F(CaptureTest, ASlotThatWasGivenBackIsTheNextCgroupsFromTheBeginning) {
  counters.add(0, KT_FAMILY_OPEN, KT_C_LOST_BUDGET, 4);
  losses.add(5, 77, KT_FAMILY_OPEN, 4);
  (void)capture.loss_since_last(1);
  losses.give_back(5);
  losses.add(5, 88, KT_FAMILY_OPEN, 3);
  counters.add(0, KT_FAMILY_OPEN, KT_C_LOST_BUDGET, 3);
  const auto lost = capture.loss_since_last(2);
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0].head.cgroup_id, 88U);
  EXPECT_EQ(std::get<LossEvent>(lost[0].body).count, 3U);
}

TEST_F(CaptureTest, AMomentIsExactWhenNoHookIsUnderWay) {
  send(high, 1 * kMs);
  counters.add(0, KT_FAMILY_OPEN, KT_C_HITS, 2);
  counters.add(1, KT_FAMILY_OPEN, KT_C_FILTERED, 1);
  EXPECT_FALSE(capture.moment().exact) << "the record is in the ring and not counted yet";
  counters.add(0, KT_FAMILY_OPEN, KT_C_SENT, 1);
  const CaptureMoment now = capture.moment();
  EXPECT_TRUE(now.exact);
  EXPECT_EQ(sent_of(now.counters), now.backlog);
}

TEST_F(CaptureTest, TimeInTheFutureDoesNotBlockTheRing) {
  send(high, UINT64_MAX - 5);
  send(high, 1 * kMs);
  EXPECT_EQ(drain(100 * kMs), 2U);
  send(low, 2 * kMs);
  drain(100 * kMs);
  EXPECT_EQ(capture.stats().late, 0U);
}

TEST_F(CaptureTest, RecordTooShortForAHeadIsDeliveredForDecodeToRefuse) {
  const std::byte one{1};
  high.write(std::span(&one, 1));
  std::size_t length = 99;
  EXPECT_EQ(capture.drain(0, [&](std::span<const std::byte> record) { length = record.size(); }), 1U);
  EXPECT_EQ(length, 1U);
}

TEST_F(CaptureTest, EverythingIsDueAtTheEnd) {
  send(high, 1000 * kMs);
  EXPECT_EQ(drain(UINT64_MAX), 1U);
}

TEST_F(CaptureTest, KeepsOrderOverManyTurnsOfTheRing) {
  std::uint64_t time = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 100; ++i)
      send(i % 3 == 0 ? high : low, ++time * kMs);
    ASSERT_EQ(drain(UINT64_MAX), 100U);
  }
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(capture.stats().corrupt, 0U);
}

TEST_F(CaptureTest, StopsAtTheGivenNumberAndGoesOnThere) {
  for (const auto time : std::initializer_list<std::uint64_t>{1, 2, 3})
    send(high, time);
  EXPECT_EQ(drain(100 * kMs, 2), 2U);
  EXPECT_EQ(capture.backlog(), 1U);
  EXPECT_EQ(drain(100 * kMs, 2), 1U);
  EXPECT_EQ(capture.backlog(), 0U);
  EXPECT_EQ(capture.backlog_bytes(), 0U);
}

TEST_F(CaptureTest, NewWorkerGoesOnWhereTheLastOneStopped) {
  for (const auto time : std::initializer_list<std::uint64_t>{1, 2, 3})
    send(high, time);
  drain(100 * kMs, 1);
  capture = open();
  seen.clear();
  drain(100 * kMs);
  EXPECT_THAT(seen, ElementsAre(2, 3));
  EXPECT_EQ(capture.stats().skipped_after_crash, 0U);
}

TEST_F(CaptureTest, RecordThatKilledTheWorkerIsPassedOverOnceAndCounted) {
  for (const auto time : std::initializer_list<std::uint64_t>{1, 2})
    send(high, time);
  *high.consumer_word(1) = 1;  // mark of position 0, as a worker leaves it that dies in the callback
  capture = open();
  drain(100 * kMs);
  EXPECT_THAT(seen, ElementsAre(2));
  EXPECT_EQ(capture.stats().skipped_after_crash, 1U);
}

TEST_F(CaptureTest, DrainsSlowerWhenNothingComes) {
  using namespace std::chrono_literals;
  EXPECT_EQ(capture.next_delay(), 2ms);
  for (int i = 0; i < 20; ++i)
    drain(0);
  EXPECT_EQ(capture.next_delay(), 20ms);
  send(high, 1);
  drain(100 * kMs);
  EXPECT_EQ(capture.next_delay(), 5ms);
  for (int i = 0; i < 256; ++i)
    send(high, 2);
  drain(100 * kMs);
  EXPECT_EQ(capture.next_delay(), 2ms);
}

TEST_F(CaptureTest, CountersAreSummedOverCpus) {
  counters.add(0, KT_FAMILY_OPEN, KT_C_HITS, 10);
  counters.add(1, KT_FAMILY_OPEN, KT_C_HITS, 5);
  counters.add(1, KT_FAMILY_OPEN, KT_C_FILTERED, 3);
  counters.add(1, KT_FAMILY_OPEN, KT_C_REPEATED, 4);
  counters.add(0, KT_FAMILY_OPEN, KT_C_SENT, 6);
  counters.add(0, KT_FAMILY_OPEN, KT_C_LOST_FAULT, 2);
  const KernelCounters open = capture.kernel_counters()[KT_FAMILY_OPEN];
  EXPECT_EQ(open.hits, 15U);
  EXPECT_EQ(open.filtered, 7U);
  EXPECT_EQ(open.sent, 6U);
  EXPECT_EQ(open.lost.at(kLostReadFault), 2U);
}

TEST_F(CaptureTest, LossIsReportedOnceWithItsPeriod) {
  counters.add(0, KT_FAMILY_EXEC, KT_C_LOST_RING, 3);
  capture.resume_loss({}, 5 * kMs);
  auto loss = capture.loss_since_last(50 * kMs);
  ASSERT_EQ(loss.size(), 1U);
  EXPECT_EQ(loss[0].head.time_ns, 50 * kMs);
  const auto& event = std::get<LossEvent>(loss[0].body);
  EXPECT_EQ(event.cause, "ring_full");
  EXPECT_EQ(event.count, 3U);
  EXPECT_EQ(event.from_ns, 5 * kMs);
  EXPECT_THAT(capture.loss_since_last(60 * kMs), IsEmpty());
  counters.add(1, KT_FAMILY_EXEC, KT_C_LOST_RING, 1);
  loss = capture.loss_since_last(70 * kMs);
  ASSERT_EQ(loss.size(), 1U);
  EXPECT_EQ(std::get<LossEvent>(loss[0].body).from_ns, 60 * kMs);
}

TEST_F(CaptureTest, CountersThatFellBelongToNewProgramsAndAreAllNew) {
  FamilyCounters reported;
  reported[KT_FAMILY_EXEC].lost[kLostRingFull] = 100;
  capture.resume_loss(reported, 0);
  counters.add(0, KT_FAMILY_EXEC, KT_C_LOST_RING, 4);
  const auto loss = capture.loss_since_last(1);
  ASSERT_EQ(loss.size(), 1U);
  EXPECT_EQ(std::get<LossEvent>(loss[0].body).count, 4U);
}

/// "cgroup count" of each event, in their order.
std::vector<std::pair<std::uint64_t, std::uint64_t>> whose(const std::vector<Event>& losses) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
  for (const Event& event : losses)
    out.emplace_back(event.head.cgroup_id, std::get<LossEvent>(event.body).count);
  return out;
}

TEST_F(CaptureTest, LossesOfASpentBudgetAreToldForEachCgroupAndTheSumIsTheCounters) {
  counters.add(0, KT_FAMILY_OPEN, KT_C_LOST_BUDGET, 10);
  losses.add(5, 77, KT_FAMILY_OPEN, 4);
  losses.add(6, 88, KT_FAMILY_OPEN, 3);
  losses.add(6, 88, KT_FAMILY_EXEC, 9);  // not in that family's counter yet
  EXPECT_THAT(whose(capture.loss_since_last(1)),
              ElementsAre(testing::Pair(77, 4), testing::Pair(88, 3), testing::Pair(0, 3)))
      << "the three for which there was no slot are anybody's";
  EXPECT_THAT(capture.loss_since_last(2), IsEmpty());
  counters.add(1, KT_FAMILY_EXEC, KT_C_LOST_BUDGET, 2);
  EXPECT_THAT(whose(capture.loss_since_last(3)), ElementsAre(testing::Pair(88, 2)));
  counters.add(1, KT_FAMILY_EXEC, KT_C_LOST_BUDGET, 7);
  EXPECT_THAT(whose(capture.loss_since_last(4)), ElementsAre(testing::Pair(88, 7)));
  counters.add(0, KT_FAMILY_OPEN, KT_C_LOST_RING, 2);
  losses.add(5, 77, KT_FAMILY_OPEN, 2);
  EXPECT_THAT(whose(capture.loss_since_last(5)), ElementsAre(testing::Pair(0, 2))) << "a full ring is nobody's";
}

TEST_F(CaptureTest, WhoLosesAllTheTimeHidesNobodyElsesLoss) {
  counters.add(0, KT_FAMILY_OPEN, KT_C_LOST_BUDGET, 8);
  losses.add(5, 77, KT_FAMILY_OPEN, 10);  // three came while this was read: the counters have them later
  losses.add(6, 88, KT_FAMILY_OPEN, 1);
  EXPECT_THAT(whose(capture.loss_since_last(1)), ElementsAre(testing::Pair(77, 7), testing::Pair(88, 1)));
  counters.add(0, KT_FAMILY_OPEN, KT_C_LOST_BUDGET, 3);
  EXPECT_THAT(whose(capture.loss_since_last(2)), ElementsAre(testing::Pair(77, 3)));
}

TEST_F(CaptureTest, WhatCgroupsLostBeforeAnEarlierReportIsNotTakenForWhatCameSince) {
  counters.add(0, KT_FAMILY_OPEN, KT_C_LOST_BUDGET, 5);
  losses.add(5, 77, KT_FAMILY_OPEN, 4);
  capture.resume_loss(capture.kernel_counters(), 1);
  counters.add(0, KT_FAMILY_OPEN, KT_C_LOST_BUDGET, 3);
  losses.add(9, 88, KT_FAMILY_OPEN, 2);
  EXPECT_THAT(whose(capture.loss_since_last(2)), ElementsAre(testing::Pair(88, 2), testing::Pair(0, 1)));
}

}  // namespace
}  // namespace keytrail::capture
