// SPDX-License-Identifier: Apache-2.0
// The catalog's tables fit into the kernel filter, and what does not fit is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "agent/warden/loader_tables.h"

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

}  // namespace
}  // namespace keytrail::warden
