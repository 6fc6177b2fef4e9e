// SPDX-License-Identifier: Apache-2.0
#include "agent/base/clock_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/base/system_clock.h"

namespace keytrail::base {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kHour = 3600 * kSecond;
constexpr std::int64_t kNoon = 1'800'000'000 * kSecond;

class ClockWatchTest : public ::testing::Test {
 protected:
  /// A second passes; before its end the clock is set by so much.
  std::optional<GapRow> second(std::int64_t set_ns = 0) {
    boot_ += static_cast<std::uint64_t>(kSecond);
    wall_ += kSecond + set_ns;
    return watch_.look(boot_, wall_);
  }

  std::uint64_t boot_ = 500;
  std::int64_t wall_ = kNoon;
  ClockWatch watch_{boot_, wall_};
};

TEST_F(ClockWatchTest, TimeThatPassesIsNoStep) {
  for (int i = 0; i < 100; ++i)
    EXPECT_FALSE(second());
  boot_ += static_cast<std::uint64_t>(8 * kHour);  // asleep
  wall_ += 8 * kHour;
  EXPECT_FALSE(second());
}

TEST_F(ClockWatchTest, ForwardIsAGapOfTheTimeThatNeverWas) {
  const auto gap = second(40 * 24 * kHour);
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->cause, "clock_step");
  EXPECT_EQ(gap->from_ns, kNoon);
  EXPECT_EQ(gap->to_ns, kNoon + kSecond + 40 * 24 * kHour);
  EXPECT_FALSE(gap->lost);
  EXPECT_THAT(gap->text, HasSubstr("forward by 3456000.0 s"));
  EXPECT_FALSE(second()) << "it is told once";
}

TEST_F(ClockWatchTest, BackIsInOrderTooAndCoversTheTimeThatComesTwice) {
  const auto gap = second(-kHour);
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->from_ns, kNoon + kSecond - kHour);
  EXPECT_EQ(gap->to_ns, kNoon);
  EXPECT_THAT(gap->text, HasSubstr("back by 3600.0 s"));
}

TEST_F(ClockWatchTest, SmallStepsAreToldWhenTheyAddUp) {
  EXPECT_FALSE(second(kSecond / 2));
  EXPECT_FALSE(second(kSecond / 2));
  EXPECT_TRUE(second(kSecond / 2));
  EXPECT_FALSE(second(kSecond / 2));
}

TEST(TimeNamespace, OffsetsAreReadAsTheKernelWritesThem) {
  EXPECT_EQ(boot_offset_in("monotonic           0         0\nboottime            0         0\n"), 0);
  EXPECT_EQ(boot_offset_in("monotonic       86400         0\nboottime        -3600 500000000\n"),
            -3600 * kSecond + kSecond / 2);
  EXPECT_EQ(boot_offset_in(""), 0);
  EXPECT_EQ(boot_offset_in("boottime x y\n"), 0);
}

}  // namespace
}  // namespace keytrail::base
