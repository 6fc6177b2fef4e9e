// SPDX-License-Identifier: Apache-2.0
// The catalog's tables fit into the kernel filter, and what does not fit is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "agent/warden/loader_guard.h"
#include "agent/warden/loader_tables.h"
#include "agent/warden/skeleton.h"

namespace keytrail::warden {
namespace {

TEST(KernelFilter, HoldsTheWholeCatalog) {
  const Result<KernelFilter> filter = KernelFilter::make(catalog::kernel_tables());
  EXPECT_TRUE(filter) << filter.error().message;
}

TEST(KernelFilter, RefusesWhatItCannotHold) {
  const std::string long_name(64, 'N');
  const std::array<catalog::EnvName, 1> env{{{long_name, catalog::EnvAction::kShow}}};
  const Result<KernelFilter> refused = KernelFilter::make({{}, env, {}, {}, {}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr(long_name));
  const std::array<catalog::ArgFlag, 1> flags{{{long_name}}};
  EXPECT_FALSE(KernelFilter::make({{}, {}, flags, {}, {}}));
  const std::array<catalog::NamePattern, 1> empty{{{catalog::NamePattern::Match::kExact, ""}}};
  EXPECT_FALSE(KernelFilter::make({empty, {}, {}, {}, {}}));
  const std::array<catalog::ArgFormat, 1> formats{{{"a-prefix-longer-than-the-room-it-has", "x", false, 1, 2}}};
  EXPECT_FALSE(KernelFilter::make({{}, {}, {}, formats, {}}));
}

TEST(KernelFilter, KeysTellNamesApart) {
  EXPECT_NE(name_key("credentials"), name_key("credential"));
  EXPECT_NE(name_key("a"), name_key("b"));
  EXPECT_EQ(name_key("token"), name_key("token"));
  EXPECT_NE(name_key("AAAAAAAAx"), name_key("AAAAAAAAy"));
}

TEST(KernelFilter, WritesEachNameOnceAndTheLastOfTwoCounts) {
  const std::array<catalog::EnvName, 3> env{{{"TWICE", catalog::EnvAction::kSecret},
                                             {"ONCE", catalog::EnvAction::kShow},
                                             {"TWICE", catalog::EnvAction::kShow}}};
  const Result<KernelFilter> filter = KernelFilter::make({{}, env, {}, {}, {}});
  ASSERT_TRUE(filter);
  keytrail_bpf* const skeleton = keytrail_bpf::open(nullptr);
  ASSERT_NE(skeleton, nullptr);
  std::map<std::string, int> seen;
  filter->each_entry(
      *skeleton, [&](bpf_map* map, const void* key, std::size_t, const void* value, std::size_t value_size) {
        if (map != skeleton->maps.env_names) return;
        ASSERT_EQ(value_size, 1U);
        const auto [at, added] = seen.emplace(static_cast<const char*>(key), *static_cast<const kt_u8*>(value));
        EXPECT_TRUE(added) << at->first;
      });
  EXPECT_EQ(seen, (std::map<std::string, int>{{"ONCE", KT_ENV_SHOW}, {"TWICE", KT_ENV_SHOW}}));
  keytrail_bpf::destroy(skeleton);
}

TEST(WrittenKeys, AreKeptOnceAndBounded) {
  WrittenKeys keys(3);
  for (const kt_u64 key : {5U, 1U, 5U, 3U, 9U})
    keys.add(key);
  EXPECT_EQ(keys.keys(), (std::vector<kt_u64>{1, 3, 5}));
  keys.remove(3);
  keys.remove(4);
  keys.add(9);
  EXPECT_EQ(keys.keys(), (std::vector<kt_u64>{1, 5, 9}));
}

}  // namespace
}  // namespace keytrail::warden
