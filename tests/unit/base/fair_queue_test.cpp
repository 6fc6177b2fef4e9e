// SPDX-License-Identifier: Apache-2.0
#include "agent/base/fair_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace keytrail::base {
namespace {

/// How many this owner gets now.
std::size_t fill(FairShares& shares, const Owners& owner, std::vector<FairShares::Share>& kept) {
  std::size_t got = 0;
  for (; FairShares::Share share = shares.take(owner); ++got)
    kept.push_back(std::move(share));
  return got;
}

TEST(FairShares, OneProcessAloneGetsAQuarter) {
  FairShares shares(1'024);
  std::vector<FairShares::Share> kept;
  EXPECT_EQ(fill(shares, {1, 1, 1}, kept), 256U);
}

TEST(FairShares, ManyProcessesOfOneProgramGetNoMoreThanTheProgramMay) {
  FairShares shares(900);
  std::vector<FairShares::Share> kept;
  std::size_t of_program = 0, of_cgroup = 0;
  for (std::uint64_t process = 1; process < 200; ++process)
    of_program += fill(shares, {1, 1, process}, kept);
  EXPECT_LE(of_program, 300U);
  EXPECT_GT(of_program, 290U);
  for (std::uint64_t program = 2; program < 200; ++program)
    of_cgroup += fill(shares, {1, program, 1'000 + program}, kept);
  EXPECT_LE(of_program + of_cgroup, 450U);
  EXPECT_GT(of_program + of_cgroup, 440U);
  EXPECT_GT(fill(shares, {2, 1, 1}, kept), 50U) << "another cgroup finds room";
}

TEST(FairShares, WhoeverComesNextFindsRoom) {
  FairShares shares(1'024);
  std::vector<FairShares::Share> kept;
  for (std::uint64_t cgroup = 1; cgroup <= 20; ++cgroup)
    EXPECT_GT(fill(shares, {cgroup, cgroup, cgroup}, kept), 0U) << cgroup;
  EXPECT_LT(shares.size(), 1'024U);
}

TEST(FairShares, WhatIsGivenBackIsThereAgain) {
  FairShares shares(16);
  {
    std::vector<FairShares::Share> kept;
    EXPECT_EQ(fill(shares, {1, 1, 1}, kept), 4U);
    EXPECT_FALSE(shares.take({1, 1, 1}));
    kept.pop_back();
    EXPECT_TRUE(shares.take({1, 1, 1}));
    EXPECT_EQ(shares.size(), 3U) << "one that is not kept is given back at once";
  }
  EXPECT_EQ(shares.size(), 0U);
}

TEST(FairShares, HalfIsLess) {
  FairShares shares(1'024);
  std::vector<FairShares::Share> kept;
  while (!shares.is_half_full({1, 1, 1}))
    kept.push_back(shares.take({1, 1, 1}));
  EXPECT_GT(kept.size(), 100U);
  EXPECT_LT(kept.size(), 200U);
  EXPECT_FALSE(shares.is_half_full({2, 1, 1}));
}

TEST(FairShares, AShareGrowsAsAWholeOrNotAtAll) {
  FairShares shares(16);
  FairShares::Share share = shares.none({1, 1, 1});
  EXPECT_FALSE(share);
  EXPECT_TRUE(share.grow(0));
  EXPECT_TRUE(share.grow(4));
  EXPECT_FALSE(share.grow(4));
  EXPECT_EQ(share.count(), 4U);
  EXPECT_EQ(shares.size(), 4U);
  FairShares::Share moved = std::move(share);
  EXPECT_EQ(moved.count(), 4U);
  moved = {};
  EXPECT_EQ(shares.size(), 0U);
}

TEST(FairShares, NothingIsThereOfNothing) {
  FairShares shares(0);
  EXPECT_FALSE(shares.take({1, 1, 1}));
  EXPECT_TRUE(shares.is_half_full({1, 1, 1}));
}

TEST(FairShares, AShareMayOutliveThem) {
  auto shares = std::make_unique<FairShares>(8);
  FairShares::Share share = shares->take({1, 1, 1});
  shares.reset();
  EXPECT_TRUE(share);
}

TEST(FairQueue, TakesTurnsAtEachLevel) {
  FairQueue<std::string> queue;
  for (int i = 0; i < 4; ++i)
    queue.push({1, 1, 1}, "flood" + std::to_string(i));
  queue.push({1, 1, 2}, "its own other process");
  queue.push({1, 2, 3}, "another program beside it");
  queue.push({2, 9, 9}, "another cgroup");
  EXPECT_EQ(queue.size(), 7U);
  std::vector<std::string> out;
  while (!queue.empty())
    out.push_back(queue.pop());
  EXPECT_EQ(out, (std::vector<std::string>{"flood0", "another cgroup", "another program beside it",
                                           "its own other process", "flood1", "flood2", "flood3"}));
}

TEST(FairQueue, MovesWhatCannotBeCopied) {
  FairQueue<std::unique_ptr<int>> queue;
  queue.push({1, 2, 3}, std::make_unique<int>(7));
  EXPECT_EQ(*queue.pop(), 7);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace keytrail::base
