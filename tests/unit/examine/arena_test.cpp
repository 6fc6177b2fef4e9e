// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

namespace keytrail::examine {
namespace {

constexpr std::size_t kLarge = (1U << 20U) + 1;

/// How many pages of it are there.
std::size_t resident_pages(std::span<char> memory) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> there((memory.size() + page - 1) / page);
  EXPECT_EQ(mincore(memory.data(), memory.size(), there.data()), 0);
  return static_cast<std::size_t>(std::ranges::count_if(there, [](unsigned char one) { return (one & 1U) != 0; }));
}

TEST(Arena, ASmallFileInALargeBufferTakesItsOwnPagesOnly) {
  Arena arena(kLarge);
  const std::span<char> buffer = arena.take(kLarge);
  ASSERT_EQ(buffer.size(), kLarge);
  std::memset(buffer.data(), 'x', 100);
  arena.keep(100);
  arena.wipe();
  EXPECT_EQ(resident_pages(buffer), 1U);
  EXPECT_TRUE(arena.clean());
}

TEST(Arena, WhatWasKeptIsWiped) {
  Arena arena(kLarge);
  const std::span<char> buffer = arena.take(kLarge);
  std::memset(buffer.data(), 'x', 5'001);
  arena.keep(5'001);
  arena.wipe();
  EXPECT_TRUE(arena.clean());
  EXPECT_EQ(arena.take(kLarge).size(), kLarge);  // all of it is there again
}

TEST(Arena, NothingBeyondWhatWasTakenIsKept) {
  Arena arena(kLarge);
  ASSERT_EQ(arena.take(16).size(), 16U);
  arena.keep(kLarge);
  EXPECT_EQ(arena.take(kLarge - 16).size(), kLarge - 16);
}

TEST(Arena, ALargeFileIsWipedAndLeavesNoMemoryBehind) {
  Arena arena(kLarge);
  const std::span<char> buffer = arena.take(kLarge);
  std::memset(buffer.data(), 'x', buffer.size());
  arena.wipe();
  if (resident_pages(buffer) != 0) GTEST_SKIP() << "a kernel before 5.18 keeps locked memory";
  EXPECT_TRUE(arena.clean());
  EXPECT_EQ(arena.take(kLarge).size(), kLarge);
}

}  // namespace
}  // namespace keytrail::examine
