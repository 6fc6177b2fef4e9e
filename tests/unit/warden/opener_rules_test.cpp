// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/warden/opener.h"

namespace keytrail::warden {
namespace {

constexpr role::Identity kSeen{
    .inode = 7, .fs_magic = 0xEF53, .ctime_s = 100, .size = 20, .ctime_ns = 5, .dev = 0x800001};

TEST(SameFile, ComparesInodeChangeTimeSizeAndDevice) {
  EXPECT_TRUE(same_file(kSeen, kSeen));
  for (const auto& change : {+[](role::Identity& i) { ++i.inode; }, +[](role::Identity& i) { ++i.ctime_s; },
                             +[](role::Identity& i) { ++i.ctime_ns; }, +[](role::Identity& i) { ++i.size; },
                             +[](role::Identity& i) { ++i.dev; }}) {
    role::Identity now = kSeen;
    change(now);
    EXPECT_FALSE(same_file(kSeen, now));
  }
}

TEST(SameFile, LeavesTheDeviceOutWhereStatLies) {
  for (const std::uint64_t magic : {std::uint64_t{0x794c7630}, std::uint64_t{0x9123683E}}) {
    role::Identity seen = kSeen;
    seen.fs_magic = magic;
    role::Identity now = seen;
    now.dev = 1;
    EXPECT_TRUE(same_file(seen, now));
  }
}

TEST(SameFile, WhatAnOverlayShowedIsNowhereElse) {
  constexpr std::uint64_t kOverlay = 0x794c7630, kTmpfs = 0x01021994;
  role::Identity other = kSeen;
  other.dev = 1;
  other.fs_magic = kOverlay;
  EXPECT_FALSE(same_file(other, kSeen)) << "it shows any inode, size and change time";
  EXPECT_TRUE(same_file(kSeen, other)) << "the kernel named the file of a layer";
  other = kSeen;
  other.fs_magic = kTmpfs;
  EXPECT_FALSE(same_file(other, kSeen));
  EXPECT_FALSE(same_file(kSeen, other));
  other.fs_magic = 0;
  EXPECT_TRUE(same_file(other, kSeen)) << "not known";
}

TEST(SameFile, KnowsNothingOfInodeZero) { EXPECT_TRUE(same_file(role::Identity{}, kSeen)); }

TEST(StatField, IsCountedFromTheEndOfTheName) {
  const char* text = "100 (a) (b 7 8) S 1 100 3\n";
  EXPECT_EQ(stat_field(text, 4), 1U);
  EXPECT_EQ(stat_field(text, 5), 100U);
  EXPECT_EQ(stat_field(text, 6), 3U);
  EXPECT_EQ(stat_field(text, 7), 0U);
  for (const char* cut : {"", "100", "100 (a", "100 (a)", "100 (a) S", "100 (a) S "})
    EXPECT_EQ(stat_field(cut, 4), 0U) << cut;
}

TEST(KnownFilesystem, RefusesThoseThatMayHangOrLie) {
  for (const std::uint64_t known : {0xEF53U, 0x58465342U, 0x9123683EU, 0x01021994U, 0x794c7630U})
    EXPECT_TRUE(is_known_filesystem(known));
  for (const std::uint64_t foreign : {0x65735546U /* fuse */, 0x6969U /* nfs */, 0x01021997U /* 9p */,
                                      0x6a656a63U /* virtiofs */, 0x0187U /* autofs */, 0x9fa0U /* proc */, 0U}) {
    EXPECT_FALSE(is_known_filesystem(foreign));
  }
}

}  // namespace
}  // namespace keytrail::warden
