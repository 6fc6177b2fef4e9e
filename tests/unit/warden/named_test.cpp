// SPDX-License-Identifier: Apache-2.0
// What names a file that the worker asks for, and what it then hears of what was found.
#include "agent/warden/named.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

#include "agent/base/told_path.h"
#include "agent/warden/told.h"

namespace keytrail::warden {
namespace {

using role::Unread;

constexpr std::uint32_t kMachine = 4'026'531'841, kContainer = 4'026'532'500, kUser = 1000;
constexpr role::Identity kFile{
    .inode = 7, .fs_magic = 0xEF53, .ctime_s = 100, .size = 20, .ctime_ns = 5, .dev = 0x800001};

class NamedTest : public testing::Test {
 protected:
  static role::Open question(const std::string& path, std::uint32_t flags = 0, std::uint32_t mnt_ns = kMachine) {
    auto out = role::make<role::Open>(role::Type::kOpen, 1);
    out.tgid = 42;
    out.start_ns = 99;
    out.mnt_ns = mnt_ns;
    out.flags = flags;
    out.file = kFile;
    out.path.assign(path);
    return out;
  }
  static role::Opened answer(Unread unread, const role::Identity& file = {}, std::uint32_t mnt_ns = kMachine,
                             std::uint32_t owner = kUser, const std::string& place = "/srv/token") {
    auto out = role::make<role::Opened>(role::Type::kOpened, 1);
    out.unread = static_cast<std::uint16_t>(unread);
    out.file = file;
    out.mnt_ns = mnt_ns;
    out.owner = file.inode != 0 ? owner : role::kNobody;
    out.place.assign(file.inode != 0 ? place : "");
    return out;
  }
  /// A file that an event named was opened there.
  void open(const std::string& path, std::uint32_t mnt_ns = kMachine) {
    opened_.insert(kFile.inode);
    role::Open asked = question(path, 0, mnt_ns);
    role::Opened found = answer(Unread::kNone, kFile, mnt_ns, kUser, path);
    ASSERT_EQ(named_.what_names(asked), NamedBy::kEvent);
    ASSERT_TRUE(named_.limit(NamedBy::kEvent, asked, found));
  }
  static void expect_nothing_told(const role::Opened& found, Unread unread) {
    EXPECT_EQ(static_cast<Unread>(found.unread), unread);
    EXPECT_EQ(found.file.inode + found.file.size + found.file.dev + found.unchanged + found.mnt_ns, 0U);
    EXPECT_EQ(found.owner, role::kNobody);
    EXPECT_TRUE(found.place.view().empty());
    EXPECT_EQ(found.head.request, 1U) << "it is still the answer to that question";
  }

  std::set<std::uint64_t> opened_;
  Named named_{{1, 2, 3}, kMachine, [this](const kt_opened& what) { return opened_.contains(what.inode); }};
};

TEST_F(NamedTest, NothingNamesWhatNobodyOpened) {
  for (const std::uint32_t flags : {0U, role::kOpenLook, role::kOpenTold, role::kOpenLook | role::kOpenTold, ~0U}) {
    role::Open asked = question("/etc/shadow", flags);
    asked.teller.assign("/root/.netrc");
    EXPECT_EQ(named_.what_names(asked), NamedBy::kNothing) << flags;
    role::Opened found = answer(Unread::kNone, kFile);
    found.place.assign("/etc/shadow");
    EXPECT_FALSE(named_.limit(NamedBy::kNothing, asked, found));
    expect_nothing_told(found, Unread::kRefused);
  }
  role::Open of_process = question("");
  of_process.hints.asks = static_cast<std::uint8_t>(role::Asks::kEnvironment);
  EXPECT_EQ(named_.what_names(of_process), NamedBy::kProcess);
}

TEST_F(NamedTest, AnEventNamesThatFileAndNoOther) {
  opened_.insert(kFile.inode);
  const role::Open asked = question("/srv/token");
  ASSERT_EQ(named_.what_names(asked), NamedBy::kEvent);
  role::Identity other = kFile, changed = kFile, elsewhere = kFile;
  other.inode = 8;
  changed.size = 21;
  elsewhere.dev = 0x800002;
  for (const role::Identity& one : {other, elsewhere, role::Identity{}}) {
    for (const Unread unread : {Unread::kChanged, Unread::kGone, Unread::kRefused, Unread::kTooLarge}) {
      role::Opened found = answer(unread, one);
      EXPECT_FALSE(named_.limit(NamedBy::kEvent, asked, found));
      expect_nothing_told(found, Unread::kGone);
    }
  }
  role::Opened rewritten = answer(Unread::kChanged, changed);
  EXPECT_TRUE(named_.limit(NamedBy::kEvent, asked, rewritten));
  EXPECT_EQ(static_cast<Unread>(rewritten.unread), Unread::kChanged);
  EXPECT_EQ(rewritten.file.size, 21U);
  role::Opened hung = answer(Unread::kTimeout);
  EXPECT_TRUE(named_.limit(NamedBy::kEvent, asked, hung));
  role::Opened hung_elsewhere = answer(Unread::kTimeout, other, kMachine, 0);
  EXPECT_TRUE(named_.limit(NamedBy::kEvent, asked, hung_elsewhere));
  expect_nothing_told(hung_elsewhere, Unread::kTimeout);
  role::Opened read = answer(Unread::kNone, kFile);
  EXPECT_TRUE(named_.limit(NamedBy::kEvent, asked, read));
  role::Opened replaced = answer(Unread::kChanged, other);
  EXPECT_TRUE(named_.limit(NamedBy::kEvent, asked, replaced)) << "another one at the place where it was read";
}

TEST_F(NamedTest, APlaceIsLookedAtWhereANamedFileLay) {
  open("/var/run/secrets/..2026_03_01/token", kContainer);
  const role::Open look = question("/var/run/secrets/token", role::kOpenLook, kContainer);
  EXPECT_EQ(named_.what_names(look), NamedBy::kPlace);
  EXPECT_EQ(named_.what_names(question("/var/run/secrets/other", role::kOpenLook, kContainer)), NamedBy::kNothing);
  EXPECT_EQ(named_.what_names(question("/var/run/secrets/token", role::kOpenLook)), NamedBy::kNothing)
      << "of another mount namespace";
  EXPECT_EQ(named_.what_names(question("/var/run/secrets/token", role::kOpenLook, 0)), NamedBy::kNothing);
  role::Identity now = kFile;
  now.inode = 8;
  const std::string place = "/var/run/secrets/..2026_03_02/token";
  role::Opened found = answer(Unread::kNone, now, kContainer, kUser, place);
  EXPECT_TRUE(named_.limit(NamedBy::kPlace, look, found));
  EXPECT_EQ(found.file.inode, 8U);
  for (role::Opened other :
       {answer(Unread::kNone, now, kContainer, 0, place), answer(Unread::kNone, now, kMachine, kUser, place),
        answer(Unread::kNone, now, 0, kUser, place), answer(Unread::kTooLarge, now, kContainer, 0, place),
        answer(Unread::kNone, now, kContainer, kUser, "/root/token"), answer(Unread::kRefused),
        answer(Unread::kGone)}) {
    EXPECT_FALSE(named_.limit(NamedBy::kPlace, look, other)) << "of another owner, elsewhere, or found another way";
    expect_nothing_told(other, Unread::kGone);
  }
}

TEST_F(NamedTest, ALinkMakesNoPlace) {
  opened_.insert(kFile.inode);
  const role::Open asked = question("/home/u/link");
  role::Opened found = answer(Unread::kNone, kFile, kMachine, 0, "/etc/ssh/key");
  EXPECT_TRUE(named_.limit(NamedBy::kEvent, asked, found));
  EXPECT_EQ(named_.what_names(question("/home/u/link", role::kOpenLook)), NamedBy::kNothing)
      << "it may lead to something else tomorrow";
}

TEST_F(NamedTest, WhatLiesInARootOfItsOwnMakesNoPlace) {
  opened_.insert(kFile.inode);
  const role::Open asked = question("/srv/token");
  role::Opened found = answer(Unread::kNone, kFile, 0);
  EXPECT_TRUE(named_.limit(NamedBy::kEvent, asked, found)) << "it is that file all the same";
  EXPECT_EQ(named_.what_names(question("/srv/token", role::kOpenLook)), NamedBy::kNothing);
  EXPECT_EQ(named_.what_names(question("/srv/token", role::kOpenLook, 0)), NamedBy::kNothing);
}

TEST_F(NamedTest, AFileTellsOfAPlaceToThoseWhoHaveReadIt) {
  role::Open told = question("/srv/key", role::kOpenLook | role::kOpenTold);
  opened_.insert(kFile.inode);
  EXPECT_EQ(named_.what_names(told), NamedBy::kNothing) << "which file tells of it?";
  told.teller.assign("/srv/config");
  EXPECT_EQ(named_.what_names(told), NamedBy::kTeller);
  role::Identity second = kFile;
  second.inode = 9;
  role::Open next = told;
  next.file = second;
  EXPECT_EQ(named_.what_names(next), NamedBy::kNothing);
  for (const Unread unread : {Unread::kRefused, Unread::kGone}) {
    role::Opened none = answer(unread);
    EXPECT_FALSE(named_.limit(NamedBy::kTeller, told, none));
    expect_nothing_told(none, Unread::kGone);
  }
  role::Opened found = answer(Unread::kNone, second);
  EXPECT_TRUE(named_.limit(NamedBy::kTeller, told, found));
  EXPECT_EQ(named_.what_names(next), NamedBy::kTeller) << "it was read for him, and may tell more";
  next.tgid = 43;
  EXPECT_EQ(named_.what_names(next), NamedBy::kNothing) << "for him alone";
}

TEST_F(NamedTest, TheHostsFileIsKnown) {
  const role::Open look = question("/etc/hosts", role::kOpenLook);
  EXPECT_EQ(named_.what_names(look), NamedBy::kHosts);
  role::Opened found = answer(Unread::kNone, kFile, kMachine, 0, "/etc/hosts");
  EXPECT_TRUE(named_.limit(NamedBy::kHosts, look, found));
  found.place.assign("/root/key");
  EXPECT_FALSE(named_.limit(NamedBy::kHosts, look, found)) << "a link led elsewhere";
  expect_nothing_told(found, Unread::kGone);
}

TEST_F(NamedTest, PlacesOutliveTheWarden) {
  char pattern[] = "/tmp/keytrail-named-XXXXXX";
  const std::string dir = mkdtemp(pattern), path = dir + "/places";
  open("/root/.netrc");
  open("/app/token", kContainer);
  ASSERT_TRUE(named_.store(path, "boot-one"));
  const auto next = [&](std::string_view boot) {
    Named later({1, 2, 3}, kMachine + 1, [](const kt_opened&) { return false; });
    later.load(path, boot);
    role::Open own = question("/root/.netrc", role::kOpenLook, kMachine + 1);
    role::Open other = question("/app/token", role::kOpenLook, kContainer);
    EXPECT_EQ(later.what_names(other), boot == "boot-one" ? NamedBy::kPlace : NamedBy::kNothing)
        << "its number may be another namespace's";
    EXPECT_EQ(later.what_names(own), NamedBy::kPlace) << "whatever number the machine's has";
  };
  next("boot-one");
  next("boot-two");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  Named damaged({1, 2, 3}, kMachine, [](const kt_opened&) { return false; });
  damaged.load(path, "boot-one");
  damaged.load(dir + "/none", "boot-one");
  EXPECT_EQ(damaged.places(), 0U);
  std::filesystem::remove_all(dir);
}

TEST(SlotPlace, LeavesOutWhatIsRenewed) {
  EXPECT_EQ(slot_place("/a/..2026/b"), "/a/b");
  EXPECT_EQ(slot_place("/a/../b/.c"), "/a/../b/.c");
  EXPECT_EQ(slot_place("/a/..data"), "/a");
  EXPECT_EQ(slot_place(""), "");
}

TEST(ToldPath, IsMeantFromWhereTheFileLies) {
  EXPECT_EQ(base::told_path("/root/.ssh/config", "~/.ssh/./id"), "/root/.ssh/id");
  EXPECT_EQ(base::told_path("/root/.kube/config", "certs/../key.pem"), "/root/.kube/key.pem");
  EXPECT_EQ(base::told_path("/srv/config", "file:///srv/a//key"), "/srv/a/key");
  EXPECT_EQ(base::told_path("/srv/config", "~/key"), "~/key") << "whose home is not known";
}

TEST(TellsOfPlace, ByAWordThatMeansIt) {
  const auto tells = [](std::string_view text, std::string_view path) {
    return tells_of_place(text, "/home/u/.kube/config", path);
  };
  const std::string_view yaml = "users:\n- user:\n    tokenFile: \"/run/tok en/token\"\n    client-key: key.pem\r\n";
  EXPECT_TRUE(tells(yaml, "/run/tok en/token"));
  EXPECT_TRUE(tells(yaml, "/home/u/.kube/key.pem"));
  EXPECT_FALSE(tells(yaml, "/run/token"));
  EXPECT_FALSE(tells(yaml, "/etc/key.pem")) << "another file of that name";
  EXPECT_FALSE(tells("a: /etc/shadow-\nb: x/etc/shadow\n", "/etc/shadow"));
  EXPECT_FALSE(tells("a: /etc\n/shadow\n", "/etc/shadow"));
  EXPECT_TRUE(tells("{\"file\":\"/etc/t\"}", "/etc/t"));
  EXPECT_TRUE(tells("path=~/.x", "/home/u/.x"));
  EXPECT_TRUE(tells("IdentityFile ~/.ssh/id", "/home/u/.ssh/id"));
  EXPECT_TRUE(tells("<privateKey>${user.home}/.ssh/id</privateKey>", "/home/u/.ssh/id"));
  EXPECT_FALSE(tells("", "/a"));
  EXPECT_FALSE(tells("/a/", "/a/"));
}

TEST_F(NamedTest, ARuntimesFileIsNamedByAnIdAndNothingIsToldOfTheFile) {
  role::Open asked = question("/etc/shadow");
  asked.hints.asks = static_cast<std::uint8_t>(role::Asks::kBundle);
  for (const char* bad : {"", "../../etc/shadow", "a/b", ".."}) {
    asked.hints.kinds.assign(bad);
    EXPECT_EQ(named_.what_names(asked), NamedBy::kNothing) << bad;
  }
  asked.hints.kinds.assign("1666cc3e9174");
  ASSERT_EQ(named_.what_names(asked), NamedBy::kRuntime);
  role::Opened found = answer(Unread::kNone, kFile);
  EXPECT_TRUE(named_.limit(NamedBy::kRuntime, asked, found));
  EXPECT_EQ(found.file.inode + found.file.size, 0U);
  EXPECT_EQ(found.place.view(), "/srv/token") << "the examiner is told which runtime's it is";
  found = answer(Unread::kTooLarge, kFile);
  EXPECT_TRUE(named_.limit(NamedBy::kRuntime, asked, found));
  EXPECT_EQ(static_cast<Unread>(found.unread), Unread::kTooLarge);
}

}  // namespace
}  // namespace keytrail::warden
