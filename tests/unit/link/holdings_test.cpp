// SPDX-License-Identifier: Apache-2.0
// What forks and programs share of the holdings of where they come from, and what changing one leaves to the others.
#include "agent/link/holdings.h"

#include <gtest/gtest.h>

#include "agent/link/instance.h"

namespace keytrail::link {
namespace {

Held held_of(const std::string& id, How how = How::kDirect, std::uint64_t superseded_ns = 0) {
  auto what = std::make_shared<HeldKey>();
  what->key.id = id;
  return {.what = what, .how = how, .last_use_ns = 7, .superseded_ns = superseded_ns, .dirty = false, .stored = what};
}

std::string told(const Holdings& holdings) {
  std::string out;
  for (const Held& held : holdings)
    out += (out.empty() ? "" : ", ") + held.what->key.id + " " + to_string(held.how);
  return out;
}

TEST(HoldingsTest, all_forks_share_one_list_until_one_changes_its_own) {
  Holdings parent(std::vector{held_of("A"), held_of("B", How::kExec), held_of("C", How::kHelper)});
  const Holdings first = parent.of_fork();
  Holdings second = parent.of_fork();
  EXPECT_EQ(told(first), "A fork, B fork, C helper");
  EXPECT_TRUE(first.shares(second));
  EXPECT_TRUE(first.of_fork().shares(first)) << "a fork's fork has the same";
  EXPECT_EQ(first[0].last_use_ns, 0);
  EXPECT_TRUE(first[0].dirty && !first[0].stored) << "the durable table knows nothing of the fork";

  second.change().push_back(held_of("D"));
  EXPECT_EQ(told(second), "A fork, B fork, C helper, D direct");
  EXPECT_EQ(told(second.of_fork()), "A fork, B fork, C helper, D fork");
  EXPECT_EQ(told(first), "A fork, B fork, C helper");
  EXPECT_EQ(told(parent), "A direct, B exec, C helper");

  parent.change()[0].what = held_of("E").what;
  EXPECT_EQ(told(parent.of_fork()), "E fork, B fork, C helper") << "what is made later is of what it has then";
  EXPECT_EQ(told(first), "A fork, B fork, C helper");
}

TEST(HoldingsTest, an_exec_loses_each_key_once) {
  const Holdings before(std::vector{held_of("A"), held_of("A"), held_of("B", How::kLostAtExec),
                                    held_of("C", How::kHelper), held_of("D", How::kFork, 5)});
  EXPECT_EQ(told(before.lost_at_exec(false)), "A lost_at_exec");
  EXPECT_EQ(told(before.lost_at_exec(true)), "A lost_at_exec, C lost_at_exec");
  EXPECT_TRUE(before.lost_at_exec(false).shares(before.lost_at_exec(false)));
  EXPECT_TRUE(before.lost_at_exec(false).lost_at_exec(false).empty()) << "for one exec only";
  EXPECT_TRUE(Holdings().lost_at_exec(true).empty());
  EXPECT_TRUE(Holdings().of_fork().empty());
}

}  // namespace
}  // namespace keytrail::link
