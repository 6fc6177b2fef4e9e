// SPDX-License-Identifier: Apache-2.0
// Watched time as it is stored: prolonged, interrupted, kept over restarts, and cut where rows were removed.
#include <thread>
#include <tuple>

#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

class WatchedTest : public HistoryTest {
 protected:
  /// Seconds after the clock's start, also of the boot clock.
  void watch(std::int64_t from_s, std::int64_t to_s, std::uint32_t families = 0b11) {
    clock.now = FakeClock::kStart + to_s * kSecond;
    Batch batch;
    batch.watched = Watched{.from_boot_ns = static_cast<std::uint64_t>(from_s * kSecond),
                            .to_boot_ns = static_cast<std::uint64_t>(to_s * kSecond),
                            .from_ns = FakeClock::kStart + (from_s + shift_s) * kSecond,
                            .to_ns = FakeClock::kStart + (to_s + shift_s) * kSecond,
                            .families = families};
    record(std::move(batch));
  }
  /// "exec 1-5 open 1-5".
  std::string spans() {
    const auto all = history->watched();
    EXPECT_TRUE(all);
    std::string out;
    for (const WatchedSpan& one : *all)
      out += (out.empty() ? "" : " ") + std::string(to_string(one.family)) + " " +
             std::to_string((one.from_ns - FakeClock::kStart) / kSecond) + "-" +
             std::to_string((one.to_ns - FakeClock::kStart) / kSecond);
    return out;
  }
  std::int64_t shift_s = 0;  ///< of the wall clock
};

TEST_F(WatchedTest, WhatFollowsProlongsAndAHoleBeginsAnew) {
  start();
  watch(1, 2);
  watch(2, 4);
  EXPECT_EQ(spans(), "exec 1-4 open 1-4");
  watch(4, 5, 0b01);
  watch(5, 6);
  EXPECT_EQ(spans(), "exec 1-6 open 1-4 open 5-6") << "a family that was silent has a hole";
  watch(8, 9);
  EXPECT_EQ(spans(), "exec 1-6 exec 8-9 open 1-4 open 5-6 open 8-9");
}

TEST_F(WatchedTest, ARestartGoesOnWhereItWasSettledInThisBootAlone) {
  start();
  watch(1, 4);
  restart();
  EXPECT_EQ(history->last_batch().settled.boot_ns, 4U * kSecond);
  EXPECT_EQ(history->last_batch().settled.wall_ns, FakeClock::kStart + 4 * kSecond);
  watch(4, 7);
  EXPECT_EQ(spans(), "exec 1-7 open 1-7");
  options.boot_id = "boot-2";
  restart();
  EXPECT_EQ(history->last_batch().settled.boot_ns, 0U);
  watch(7, 8);
  EXPECT_EQ(spans(), "exec 1-7 exec 7-8 open 1-7 open 7-8") << "the same numbers of another boot say nothing";
}

TEST_F(WatchedTest, AClockThatIsSetBeginsASpan) {
  start();
  watch(1, 2);
  shift_s = 100;
  watch(2, 3);
  EXPECT_EQ(spans(), "exec 1-2 exec 102-103 open 1-2 open 102-103");
  shift_s = -50;
  watch(3, 4);
  EXPECT_EQ(spans(), "exec -47--46 exec 1-2 exec 102-103 open -47--46 open 1-2 open 102-103");
}

TEST_F(WatchedTest, BatchesThatShareATransactionAreNotMixedUp) {
  options.merge_for = std::chrono::milliseconds(50);
  start();
  for (const auto& [from_s, to_s, families] :
       {std::tuple{1, 2, 0b11U}, std::tuple{2, 3, 0b11U}, std::tuple{3, 4, 0b01U}, std::tuple{6, 7, 0b01U}}) {
    Batch batch;
    batch.watched = Watched{.from_boot_ns = std::uint64_t(from_s) * kSecond,
                            .to_boot_ns = std::uint64_t(to_s) * kSecond,
                            .from_ns = FakeClock::kStart + from_s * kSecond,
                            .to_ns = FakeClock::kStart + to_s * kSecond,
                            .families = families};
    history->submit(std::move(batch));
  }
  ASSERT_TRUE(history->drain(std::chrono::seconds(5)));
  EXPECT_EQ(spans(), "exec 1-4 exec 6-7 open 1-3");
}

TEST_F(WatchedTest, WhatWasRemovedIsNotKept) {
  options.retention_ns = 100 * kSecond;
  start();
  Batch batch;
  batch.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA1"), clock.now + kSecond));
  record(std::move(batch));
  watch(1, 2);
  EXPECT_EQ(history->status()->kept_since_ns, 0) << "nothing was removed";
  clock.now += 1000 * kSecond;
  restart();  // retention runs when the writer begins
  for (int i = 0; i < 100 && history->status()->kept_since_ns == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(history->status()->kept_since_ns, FakeClock::kStart + kSecond + 1);
}

}  // namespace
}  // namespace keytrail::record
