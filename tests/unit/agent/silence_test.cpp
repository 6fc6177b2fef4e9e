// SPDX-License-Identifier: Apache-2.0
#include "agent/silence.h"

#include <gtest/gtest.h>

namespace keytrail {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

class SilenceTest : public ::testing::Test {
 protected:
  /// The periods told during so many seconds, as "from-to" in seconds.
  std::string pass(unsigned seconds) {
    std::string out;
    for (unsigned i = 0; i < seconds; ++i) {
      now_ += kSecond;
      if (const auto told = silence_.tick(now_)) {
        if (!out.empty()) out += " ";
        out += std::to_string(told->from_ns / kSecond) + "-" + std::to_string(told->to_ns / kSecond);
      }
    }
    return out;
  }

  std::uint64_t now_ = 100 * kSecond;
  Silence silence_{now_};
};

TEST_F(SilenceTest, RegularSignsAreNone) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(pass(9), "");
    silence_.heard(now_);
  }
  EXPECT_FALSE(silence_.is_silent());
}

TEST_F(SilenceTest, IsToldWithinTenSecondsAsLongAsItLastsAndAtItsEnd) {
  EXPECT_EQ(pass(9), "");
  EXPECT_EQ(pass(1), "100-110");
  EXPECT_TRUE(silence_.is_silent());
  EXPECT_EQ(pass(25), "110-120 120-130");
  silence_.heard(now_);
  EXPECT_FALSE(silence_.is_silent());
  EXPECT_EQ(pass(1), "130-135");
  EXPECT_EQ(pass(9), "");
}

TEST_F(SilenceTest, WhoWasStoppedHimselfAccusesNobody) {
  EXPECT_EQ(pass(5), "");
  now_ += 3600 * kSecond;
  EXPECT_EQ(pass(4), "");
}

TEST(OwnStallTest, IsToldWhenTimeWentOnAndNotWhenTheMachineSlept) {
  constexpr std::uint64_t kOne = 1'000'000'000;
  OwnStall stall;
  EXPECT_FALSE(stall.tick(100 * kOne, 50 * kOne)) << "the first look";
  EXPECT_FALSE(stall.tick(101 * kOne, 51 * kOne));
  EXPECT_FALSE(stall.tick(170 * kOne, 53 * kOne)) << "a minute's sleep";
  const auto stopped = stall.tick(210 * kOne, 93 * kOne);
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->from_ns, 170 * kOne);
  EXPECT_EQ(stopped->to_ns, 210 * kOne);
  EXPECT_FALSE(stall.tick(211 * kOne, 94 * kOne));
}

}  // namespace
}  // namespace keytrail
