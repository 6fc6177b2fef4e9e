// SPDX-License-Identifier: Apache-2.0
// The time to delete by, while the wall clock does what it likes.
#include "agent/record/retention_clock.h"

#include <gtest/gtest.h>

#include "agent/record/options.h"

namespace keytrail::record {
namespace {

constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kNoon = 1'800'000'000 * kSecond;

class RetentionClockTest : public ::testing::Test {
 protected:
  /// So much time passes, asked every ten minutes. Returns the time to delete by, from kNoon.
  std::int64_t pass(std::int64_t ns) {
    for (; ns > 0; ns -= 10 * kMinute) {
      const std::int64_t step = std::min(ns, 10 * kMinute);
      boot_ += static_cast<std::uint64_t>(step);
      wall_ += step;
      time_ = clock_.advance(boot_id_, boot_, wall_);
    }
    return time_ - kNoon;
  }
  /// The machine is off for so long, and has run for a minute then.
  std::int64_t off(std::int64_t ns) {
    boot_id_ += "+";
    boot_ = static_cast<std::uint64_t>(kMinute);
    wall_ += ns + kMinute;
    time_ = clock_.advance(boot_id_, boot_, wall_);
    return time_ - kNoon;
  }

  void SetUp() override { (void)clock_.advance(boot_id_, boot_, wall_); }

  std::string boot_id_ = "boot";
  std::uint64_t boot_ = 500 * static_cast<std::uint64_t>(kSecond);
  std::int64_t wall_ = kNoon, time_ = 0;
  RetentionClock clock_;
};

TEST_F(RetentionClockTest, GoesWithTheClock) { EXPECT_EQ(pass(40 * kDay), 40 * kDay); }

TEST_F(RetentionClockTest, FortyDaysForFortySecondsDeleteNothing) {
  pass(kHour);
  wall_ += 40 * kDay;
  EXPECT_EQ(pass(40 * kSecond), kHour + 40 * kSecond);
  wall_ -= 40 * kDay;
  EXPECT_EQ(pass(kHour), 2 * kHour + 40 * kSecond);
}

TEST_F(RetentionClockTest, AJumpIsBelievedOnceItStoodForADay) {
  wall_ += 40 * kDay;
  EXPECT_EQ(pass(23 * kHour), 23 * kHour);
  EXPECT_EQ(pass(2 * kHour), 40 * kDay + 25 * kHour);
}

TEST_F(RetentionClockTest, OfALeadOnlyTheLeastThatStoodIsBelieved) {
  wall_ += kHour;
  pass(23 * kHour);
  wall_ += 40 * kDay;  // just before the hour would be believed
  EXPECT_EQ(pass(2 * kHour), 26 * kHour);
}

TEST_F(RetentionClockTest, NeverAheadOfTheWallClock) {
  wall_ -= kHour;
  EXPECT_EQ(pass(10 * kMinute), -kHour + 10 * kMinute);
  wall_ -= 400 * kDay;
  EXPECT_EQ(pass(10 * kMinute), -kHour - 400 * kDay + 20 * kMinute);
}

TEST_F(RetentionClockTest, AMachineThatWasOffCatchesUpAfterADayOfRunning) {
  EXPECT_EQ(off(7 * kDay), kMinute);
  pass(25 * kHour);
  EXPECT_EQ(time_, wall_);
}

TEST_F(RetentionClockTest, OneThatIsOffEveryNightIsNeverFarBehind) {
  for (int day = 0; day < 60; ++day) {
    pass(8 * kHour);
    off(16 * kHour);
  }
  EXPECT_LT(wall_ - time_, 6 * kDay);
}

TEST_F(RetentionClockTest, SurvivesInTheFile) {
  wall_ += 40 * kDay;
  pass(23 * kHour);
  auto again = RetentionClock::parse(clock_.text());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->text(), clock_.text());
  clock_ = *again;
  EXPECT_EQ(pass(2 * kHour), 40 * kDay + 25 * kHour);
  EXPECT_FALSE(RetentionClock::parse(""));
  EXPECT_FALSE(RetentionClock::parse("soon"));
  EXPECT_FALSE(RetentionClock::parse("-5 1 0 0 boot"));
}

TEST_F(RetentionClockTest, IsWrittenSeldomWhileAllIsWell) {
  RetentionClock next = clock_;
  EXPECT_TRUE(RetentionClock().is_outdated(next)) << "never written";
  (void)next.advance(boot_id_, boot_ + 30 * static_cast<std::uint64_t>(kSecond), wall_ + 30 * kSecond);
  EXPECT_FALSE(clock_.is_outdated(next));
  RetentionClock jumped = clock_;
  (void)jumped.advance(boot_id_, boot_ + 30 * static_cast<std::uint64_t>(kSecond), wall_ + kDay);
  EXPECT_TRUE(clock_.is_outdated(jumped));
  RetentionClock back = clock_;
  (void)back.advance(boot_id_, boot_ + 30 * static_cast<std::uint64_t>(kSecond), wall_ - kDay);
  EXPECT_TRUE(clock_.is_outdated(back));
  (void)next.advance(boot_id_, boot_ + 11 * static_cast<std::uint64_t>(kMinute), wall_ + 11 * kMinute);
  EXPECT_TRUE(clock_.is_outdated(next));
}

}  // namespace
}  // namespace keytrail::record
