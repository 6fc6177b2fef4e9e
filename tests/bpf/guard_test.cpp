// SPDX-License-Identifier: Apache-2.0
// Somebody deletes what the programs filter by: it is written again, and told of where it cannot be the kernel's own
// doing.
#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "agent/base/fd.h"
#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {
namespace {

/// The table of this name that was made last: others of this machine are left alone.
base::UniqueFd last_table(std::string_view name) {
  base::UniqueFd out;
  for (__u32 id = 0; bpf_map_get_next_id(id, &id) == 0;) {
    base::UniqueFd map(bpf_map_get_fd_by_id(id));
    bpf_map_info info{};
    __u32 size = sizeof(info);
    if (map && bpf_obj_get_info_by_fd(map.get(), &info, &size) == 0 && name == info.name) out = std::move(map);
  }
  return out;
}

/// What is told of the tables when all of them have been looked at.
std::vector<warden::Repair> look_at_all(warden::Loader& loader) {
  constexpr int kParts = 4;
  std::vector<warden::Repair> out;
  for (int i = 0; i < kParts; ++i)
    std::ranges::move(loader.check(), std::back_inserter(out));
  std::erase_if(out, [](const warden::Repair& one) { return std::string_view(one.cause) != "map_changed"; });
  return out;
}

TEST(Guard, ANameThatSomebodyDeletedIsToldOnce) {
  KernelSide side;
  EXPECT_TRUE(look_at_all(side.loader()).empty());
  const base::UniqueFd names = last_table("names");
  ASSERT_TRUE(names);
  kt_u64 key = 0;
  ASSERT_EQ(bpf_map_get_next_key(names.get(), nullptr, &key), 0);
  ASSERT_EQ(bpf_map_delete_elem(names.get(), &key), 0);
  const std::vector<warden::Repair> told = look_at_all(side.loader());
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].family, "open");
  EXPECT_TRUE(told[0].done);
  kt_u8 value = 0;
  EXPECT_EQ(bpf_map_lookup_elem(names.get(), &key, &value), 0);
  EXPECT_TRUE(look_at_all(side.loader()).empty());
}

/// The kernel gives entries of such a table up when it needs room, and nobody can tell that from a deletion.
TEST(Guard, WhatATableThatForgetsLostIsWrittenAgainAndNothingTold) {
  KernelSide side;
  ASSERT_TRUE(side.loader().watch_found(4711, 8, {}, {}));
  const base::UniqueFd found = last_table("found");
  ASSERT_TRUE(found);
  kt_u64 key = 0;
  ASSERT_EQ(bpf_map_get_next_key(found.get(), nullptr, &key), 0);
  ASSERT_EQ(bpf_map_delete_elem(found.get(), &key), 0);
  for (const warden::Repair& one : look_at_all(side.loader()))
    ADD_FAILURE() << one.text;
  kt_u8 value = 0;
  EXPECT_EQ(bpf_map_lookup_elem(found.get(), &key, &value), 0) << "written again";
}

}  // namespace
}  // namespace keytrail::tests
