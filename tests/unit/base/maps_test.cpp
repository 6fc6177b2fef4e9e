// SPDX-License-Identifier: Apache-2.0
// The maps keep each key once: in the item that the index leads to.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/base/fair_map.h"
#include "agent/base/lru_map.h"

namespace keytrail::base {
namespace {

/// Too long to stand in the string object itself.
std::string long_name(int n) { return "a name that needs memory of its own " + std::to_string(n); }

TEST(LruMap, FindsWhatItKeepsAndForgetsTheOldest) {
  LruMap<std::string, int> map(3);
  std::vector<std::string> forgotten;
  map.on_evict([&](const std::string& key, int&) { forgotten.push_back(key); });
  for (int n = 0; n < 3; ++n)
    *map.get(long_name(n)).first = n;
  ASSERT_NE(map.find(long_name(0)), nullptr);
  EXPECT_EQ(*map.find(long_name(0)), 0);
  EXPECT_TRUE(map.get(long_name(3)).second);
  EXPECT_EQ(forgotten, std::vector{long_name(1)});
  EXPECT_EQ(map.find(long_name(1)), nullptr);
  EXPECT_FALSE(map.get(long_name(2)).second);
  EXPECT_EQ(map.size(), 3U);
}

TEST(LruMap, AnItemIsErasedByItsOwnKey) {
  LruMap<std::string, int> map(3);
  *map.get(long_name(1)).first = 1;
  *map.get(long_name(2)).first = 2;
  map.erase(map.items().front().first);
  EXPECT_EQ(map.find(long_name(2)), nullptr);
  EXPECT_NE(map.find(long_name(1)), nullptr);
  map.erase(long_name(7));
  EXPECT_EQ(map.size(), 1U);
}

TEST(FairMap, FindsWhatItKeepsAndWhoHasMostGivesUp) {
  FairMap<int> map(3);
  std::vector<std::string> forgotten;
  map.on_evict([&](const std::string& key, int&) { forgotten.push_back(key); });
  *map.get("many", long_name(0)).first = 0;
  *map.get("many", long_name(1)).first = 1;
  *map.get("few", long_name(2)).first = 2;
  EXPECT_TRUE(map.get("few", long_name(3)).second);
  EXPECT_EQ(forgotten, std::vector{long_name(0)});
  EXPECT_EQ(map.find(long_name(0)), nullptr);
  ASSERT_NE(map.find(long_name(1)), nullptr);
  EXPECT_EQ(*map.find(long_name(1)), 1);
  map.erase(long_name(2));
  EXPECT_EQ(map.find(long_name(2)), nullptr);
  EXPECT_EQ(map.size(), 2U);
  EXPECT_EQ(map.evicted(), 1U);
}

}  // namespace
}  // namespace keytrail::base
