// SPDX-License-Identifier: Apache-2.0
#include "agent/link/ledger.h"

#include <gtest/gtest.h>

#include <string>

namespace keytrail::link {
namespace {

constexpr std::uint64_t kS = 1'000'000'000;

std::string told(const std::vector<GivenUp>& all) {
  std::string out;
  for (const GivenUp& one : all)
    out += one.cause + "/" + one.family + "/" + one.scope + " " + std::to_string(one.count) + " " +
           std::to_string(one.first_ns / kS) + "-" + std::to_string(one.last_ns / kS) + "\n";
  return out;
}

TEST(Ledger, TheFirstIsToldAtOnceAndTheRestTogether) {
  Ledger ledger;
  ledger.give_up({"cut", "exec", "api", {}, {}, 1, 10 * kS, 10 * kS});
  EXPECT_EQ(told(ledger.take(10 * kS)), "cut/exec/api 1 10-10\n");
  EXPECT_EQ(ledger.oldest_ns(), 0U);
  ledger.give_up({"cut", "exec", "api", {}, {}, 2, 11 * kS, 11 * kS});
  ledger.give_up({"cut", "exec", "api", {}, {}, 3, 13 * kS, 13 * kS});
  EXPECT_EQ(told(ledger.take(14 * kS)), "");
  EXPECT_EQ(ledger.oldest_ns(), 11 * kS) << "what is not told is not settled";
  EXPECT_EQ(ledger.untold(), 5U);
  EXPECT_EQ(told(ledger.take(15 * kS)), "cut/exec/api 5 11-13\n");
  EXPECT_EQ(ledger.untold(), 0U);
  EXPECT_EQ(told(ledger.take(60 * kS)), "");
  ledger.give_up({"cut", "exec", "api", {}, {}, 1, 61 * kS, 61 * kS});
  EXPECT_EQ(told(ledger.take(61 * kS)), "cut/exec/api 1 61-61\n") << "a quiet time begins anew";
}

TEST(Ledger, CausesFamiliesAndWorkloadsAreToldApart) {
  Ledger ledger;
  ledger.give_up({"cut", "exec", "api", {}, {}, 1, kS, kS});
  ledger.give_up({"cut", "exec", "web", {}, {}, 1, kS, kS});
  ledger.give_up({"cut", "open", "api", {}, {}, 1, kS, kS});
  ledger.give_up({"lost", "exec", "api", {}, {}, 1, kS, kS});
  ledger.give_up({"lost", "exec", "api", {}, {}, 0, kS, kS});
  EXPECT_EQ(told(ledger.take(kS)), "cut/exec/api 1 1-1\ncut/exec/web 1 1-1\ncut/open/api 1 1-1\nlost/exec/api 1 1-1\n");
}

TEST(Ledger, WhatConcernsOtherKeysIsToldApartAndOverTheBoundConcernsAll) {
  Ledger ledger(3);
  const std::vector<std::string> ssh{"ssh.private_key"};
  ledger.give_up({"unread", "open", "api", "gone", ssh, 1, kS, kS});
  ledger.give_up({"unread", "open", "api", "gone", {}, 1, kS, kS});
  ledger.give_up({"unread", "open", "api", "refused", ssh, 1, kS, kS});
  ledger.give_up({"unread", "open", "api", "gone", ssh, 1, kS, kS});
  ledger.give_up({"unread", "open", "web", "gone", ssh, 5, kS, kS});
  const std::vector<GivenUp> all = ledger.take(kS);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_TRUE(all[0].scope.empty() && all[0].detail.empty() && all[0].kinds.empty()) << "one too many";
  EXPECT_EQ(all[0].count, 5U);
  EXPECT_EQ(all[1].detail + std::to_string(all[1].kinds.size()), "gone0");
  EXPECT_EQ(all[2].detail + std::to_string(all[2].count), "gone2");
  EXPECT_EQ(all[2].kinds, ssh);
  EXPECT_EQ(all[3].detail, "refused");
}

TEST(Ledger, WorkloadsOverTheBoundAreNotNamedButCounted) {
  Ledger ledger(2);
  for (int i = 0; i < 1000; ++i)
    ledger.give_up({"cut", "exec", "w" + std::to_string(i), {}, {}, 1, kS, kS});
  EXPECT_EQ(told(ledger.take(kS)), "cut/exec/ 998 1-1\ncut/exec/w0 1 1-1\ncut/exec/w1 1 1-1\n");
}

TEST(Ledger, WhatLiesInAPeriodMakesAGapOfAllOfIt) {
  Ledger ledger;
  ledger.give_up({"budget", "open", "api", {}, {}, 7, 3 * kS, 4 * kS});
  EXPECT_EQ(ledger.oldest_ns(), 3 * kS);
  ledger.give_up({"budget", "open", "api", {}, {}, 2, 4 * kS, 5 * kS});
  EXPECT_EQ(told(ledger.take(5 * kS)), "budget/open/api 9 3-5\n");
}

TEST(Ledger, AtTheEndAllIsTold) {
  Ledger ledger;
  ledger.give_up({"cut", "", "", {}, {}, 1, kS, kS});
  (void)ledger.take(kS);
  ledger.give_up({"cut", "", "", {}, {}, 4, 2 * kS, 2 * kS});
  EXPECT_EQ(told(ledger.take(2 * kS, true)), "cut// 4 2-2\n");
}

}  // namespace
}  // namespace keytrail::link
