// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/warden/child.h"

namespace keytrail::warden {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

TEST(Backoff, StartsAtOnceThenWaitsLongerUpToFiveSeconds) {
  Backoff backoff;
  EXPECT_EQ(backoff.ended(kMs), 0U);
  EXPECT_EQ(backoff.ended(kMs), 0U);
  EXPECT_EQ(backoff.ended(kMs), 250 * kMs);
  EXPECT_EQ(backoff.ended(kMs), 500 * kMs);
  for (int i = 0; i < 100; ++i)
    EXPECT_LE(backoff.ended(kMs), 5'000 * kMs);
  EXPECT_EQ(backoff.ended(kMs), 5'000 * kMs);
}

TEST(Backoff, ForgetsAfterALongLife) {
  Backoff backoff;
  for (int i = 0; i < 10; ++i)
    (void)backoff.ended(kMs);
  EXPECT_EQ(backoff.ended(6'000 * kMs), 0U);
  EXPECT_EQ(backoff.ended(kMs), 0U);
}

}  // namespace
}  // namespace keytrail::warden
