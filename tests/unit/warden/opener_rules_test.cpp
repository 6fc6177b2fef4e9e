// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "agent/warden/opener.h"
#include "agent/warden/process.h"
#include "agent/warden/told.h"

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

/// Of a process that stands in /srv/a.
bool names(std::string_view text, std::string_view path = "/srv/a/keys.conf", std::string_view standing = "/srv/a") {
  return names_file(text, path.substr(path.rfind('/') + 1),
                    [&](std::string_view word) { return means_file(word, path, standing); });
}

TEST(NamesFile, ByAWordThatLeadsThere) {
  using namespace std::string_literals;
  for (const std::string& text :
       {"curl\0-K\0/srv/a/keys.conf\0"s, "tool\0--config=keys.conf\0"s, "a\0@keys.conf"s, "a\0./keys.conf"s,
        "PATHS=/x:/srv/a/keys.conf:/y\0"s, "git\0-c\0include.path=a/keys.conf"s, "curl\0-K/srv/a/keys.conf\0"s,
        "AT=file:///srv/a/keys.conf\0"s, "sh\0-c\0tool -f /srv/a/keys.conf -v\0"s})
    EXPECT_TRUE(names(text)) << text;
  for (const std::string& text :
       {""s, "cat\0mykeys.conf\0"s, "cat\0keys.config\0"s, "keys.con"s, "curl\0-K\0/srv/b/keys.conf\0"s,
        "git\0-c\0include.path=b/keys.conf"s, "tool\0/srv/a/keys.conf/other\0"s})
    EXPECT_FALSE(names(text)) << text;
  EXPECT_TRUE(names("tool\0/srv/a:b/x.conf\0"s, "/srv/a:b/x.conf", "/")) << "what ends a word may be part of one";
  EXPECT_FALSE(names_file("anything", "", [](std::string_view) { return true; }));
}

TEST(NamesFile, AWordThatHappensToBeTheFilesNameIsNone) {
  using namespace std::string_literals;
  const std::string environment = "USER=anna\0HOME=/home/anna\0SHELL=/bin/bash\0TERM=xterm\0RUN=/run/user/1000/bus\0"s;
  for (const std::string_view path : {"/srv/x/anna", "/srv/x/bash", "/srv/x/xterm", "/srv/x/1000", "/srv/x/home"})
    EXPECT_FALSE(names(environment, path, "/")) << path;
  EXPECT_FALSE(names("tool\0keys.conf\0"s, "/srv/a/keys.conf", "/")) << "it stands elsewhere";
  EXPECT_FALSE(names("tool\0keys.conf\0"s, "/srv/a/keys.conf", "")) << "nobody knows where";
  EXPECT_TRUE(names("tool\0keys.conf\0"s, "/keys.conf", "/"));
}

TEST(NamesFile, ALongTextEndsInTime) {
  std::string text(1, '/');
  while (text.size() < (128U << 10U))
    text += "a ";
  EXPECT_FALSE(names(text, "/srv/x/a", "/"));
  EXPECT_FALSE(names(std::string(128U << 10U, '/') + "a", "/srv/x/a", "/"));
}

TEST(WriteLease, IsSeenInProcLocksAndNothingElseIs) {
  constexpr std::string_view kLocks =
      "1: POSIX  ADVISORY  WRITE 812 fd:00:5242 0 EOF\n2: LEASE  ACTIVE    READ 812 fd:00:5243 0 EOF\n"
      "3: LEASE  ACTIVE    WRITE 812 fd:00:5244 0 EOF\n4: LEASE  BREAKING  READ 812 fd:00:5245 0 EOF\n"
      "5: DELEG  ACTIVE    WRITE 812 fd:00:5246 0 EOF\n6: FLOCK  ADVISORY  WRITE 9 fd:00:5247 0 EOF";
  const auto shows = [&](std::uint64_t inode, std::uint32_t dev = 0xfd00000, std::uint64_t magic = 0xEF53) {
    return shows_write_lease(kLocks, {.inode = inode, .fs_magic = magic, .dev = dev});
  };
  for (const std::uint64_t inode : {5244UL, 5245UL, 5246UL})
    EXPECT_TRUE(shows(inode)) << inode;
  for (const std::uint64_t inode : {5242UL, 5243UL, 5247UL, 524UL, 244UL, 0UL})
    EXPECT_FALSE(shows(inode)) << inode;
  for (const std::uint32_t dev : {0xfd00001U, 0xfc00000U, 0xdU})
    EXPECT_FALSE(shows(5244, dev)) << "the same number elsewhere: " << dev;
  for (const std::uint64_t odd : {0x794c7630UL, 0x9123683EUL})
    EXPECT_TRUE(shows(5244, 0x2a, odd)) << "stat shows another device than the kernel has";
  EXPECT_TRUE(shows(5244, 0)) << "not known";
  EXPECT_FALSE(shows_write_lease("", {.inode = 1}));
}

TEST(HangGuard, SaysWhatItWaitsForAndLeavesAloneWhatHung) {
  const auto board = std::make_unique<HangBoard>();
  const HangGuard guard(*board, 1);
  const std::uint64_t mount = key_of_mount(7), way = key_of_way(4026531840, 1000, 0);
  EXPECT_NE(mount, way);
  guard.begin(42);
  EXPECT_EQ(board->children[1].request, 42U);
  EXPECT_TRUE(guard.may_wait_for(mount));
  EXPECT_EQ(board->children[1].waits, mount);
  board->shunned[3] = mount;
  EXPECT_FALSE(guard.may_wait_for(mount));
  EXPECT_TRUE(guard.may_wait_for(way));
  EXPECT_TRUE(guard.may_wait_for(0)) << "the kernel did not tell which";
  board->children[1].user = 1000;
  board->shunned[3] = key_of_user(mount, 1000);
  EXPECT_FALSE(guard.may_wait_for(mount)) << "it hung for this user";
  board->children[1].user = 1001;
  EXPECT_TRUE(guard.may_wait_for(mount)) << "and not for that one";
  EXPECT_TRUE(is_mount(key_of_user(mount, 1000)));
  EXPECT_EQ(key_of_user(way, 1000), way);
  guard.rest();
  EXPECT_EQ(board->children[1].waits, 0U);
  board->children[1].careful = 1;
  EXPECT_FALSE(guard.may_wait_for(mount)) << "it never answered";
  EXPECT_FALSE(guard.may_wait_for(way)) << "it never answered";
  board->children[1].careful = 0;
  EXPECT_TRUE(guard.may_wait_for(way));
  guard.answered();
  board->children[1].careful = 1;
  EXPECT_TRUE(guard.may_wait_for(way));
  guard.end();
  EXPECT_EQ(board->children[1].request, 0U);
  EXPECT_TRUE(HangGuard().may_wait_for(mount)) << "no board";
}

}  // namespace
}  // namespace keytrail::warden
