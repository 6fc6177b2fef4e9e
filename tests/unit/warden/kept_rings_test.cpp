// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/kept_rings.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace keytrail::warden {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

SessionId session(std::uint8_t first) {
  SessionId out{};
  out[0] = first;
  return out;
}

StoredFd stored(std::string name) { return {std::move(name), base::UniqueFd(memfd_create("kept", MFD_CLOEXEC))}; }

std::vector<StoredFd> whole_set(std::uint8_t first) {
  std::vector<StoredFd> out;
  for (const char* map : {"counters", "high", "low", "cgroups_lost", "reported"})
    out.push_back(stored(kept_name(map, session(first))));
  return out;
}

TEST(KeptRings, CountsOnlyWhatIsMeantForThisProcess) {
  EXPECT_EQ(count_handed("42", "3", 42), 3U);
  EXPECT_EQ(count_handed("41", "3", 42), 0U);
  EXPECT_EQ(count_handed(nullptr, "3", 42), 0U);
  EXPECT_EQ(count_handed("42", nullptr, 42), 0U);
  for (const char* bad : {"", "-1", "3x", " 3", "65", "99999999999999999999"})
    EXPECT_EQ(count_handed("42", bad, 42), 0U) << bad;
}

TEST(KeptRings, NamesStandInOrderAndMissingOnesAreUnknown) {
  EXPECT_THAT(names_handed("a:b:c", 3), ElementsAre("a", "b", "c"));
  EXPECT_THAT(names_handed("a:b:c", 2), ElementsAre("a", "b"));
  EXPECT_THAT(names_handed("a", 3), ElementsAre("a", "unknown", "unknown"));
  EXPECT_THAT(names_handed("::c", 3), ElementsAre("unknown", "unknown", "c"));
  EXPECT_THAT(names_handed(nullptr, 1), ElementsAre("unknown"));
  EXPECT_THAT(names_handed("a", 0), IsEmpty());
}

TEST(KeptRings, ANameSystemdTakes) {
  const std::string name = kept_name("counters", session(0xab));
  EXPECT_LE(name.size(), 255U);
  EXPECT_EQ(name.find(':'), std::string::npos);
  EXPECT_THAT(name, HasSubstr("-counters-ab000000000000000000000000000000"));
}

TEST(KeptRings, OneWholeSetIsChosenWhateverItsOrder) {
  std::vector<StoredFd> handed = whole_set(7);
  const int counters = handed[0].fd.get();
  const int high = handed[1].fd.get();
  const Stored out = choose_rings(std::move(handed));
  ASSERT_TRUE(out.rings);
  EXPECT_EQ(out.rings->session, session(7));
  EXPECT_EQ(out.rings->counters.get(), counters);
  EXPECT_EQ(out.rings->high.get(), high);
  EXPECT_THAT(out.refused, IsEmpty());
  EXPECT_THAT(out.stale, IsEmpty());
}

TEST(KeptRings, NothingHandedOverIsNoComplaint) {
  const Stored out = choose_rings({});
  EXPECT_FALSE(out.rings);
  EXPECT_THAT(out.refused, IsEmpty());
}

TEST(KeptRings, HalfASetIsRefusedAndForgotten) {
  std::vector<StoredFd> handed = whole_set(7);
  handed.pop_back();
  const int closed = handed[0].fd.get();
  const Stored out = choose_rings(std::move(handed));
  EXPECT_FALSE(out.rings);
  EXPECT_THAT(out.refused, SizeIs(4));
  EXPECT_THAT(out.stale, UnorderedElementsAre(kept_name("counters", session(7)), kept_name("high", session(7)),
                                              kept_name("low", session(7)), kept_name("cgroups_lost", session(7))));
  EXPECT_LT(fcntl(closed, F_GETFD), 0) << "closed";
}

TEST(KeptRings, OfTwoSetsNobodyKnowsWhichWasLast) {
  std::vector<StoredFd> handed = whole_set(7);
  for (StoredFd& one : whole_set(8))
    handed.push_back(std::move(one));
  const Stored out = choose_rings(std::move(handed));
  EXPECT_FALSE(out.rings);
  EXPECT_THAT(out.stale, SizeIs(10));
}

TEST(KeptRings, ForeignOnesAreRefusedBesideASetAndLeftWhereTheyAre) {
  std::vector<StoredFd> handed = whole_set(7);
  handed.push_back(stored("somebody.socket"));
  const Stored out = choose_rings(std::move(handed));
  EXPECT_TRUE(out.rings);
  EXPECT_THAT(out.refused, ElementsAre(HasSubstr("\"somebody.socket\"")));
  EXPECT_THAT(out.stale, IsEmpty());
}

TEST(KeptRings, OtherVersionsAndMadeUpNamesAreNoneOfOurs) {
  std::string other = kept_name("high", session(7));
  other.replace(other.find("-1-"), 3, "-2-");  // another event layout
  std::string with_more = kept_name("high", session(7));
  with_more += "0";
  std::string no_hex = kept_name("high", session(7));
  no_hex.back() = 'g';
  for (const std::string& name : {other, with_more, no_hex, std::string("keytrail-"), std::string()}) {
    std::vector<StoredFd> handed = whole_set(7);
    handed[1].name = name;
    const Stored out = choose_rings(std::move(handed));
    EXPECT_FALSE(out.rings) << name;
    EXPECT_THAT(out.refused, SizeIs(5)) << name;
  }
}

TEST(KeptRings, WithoutSystemdNothingIsKept) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(keep_rings({.high = 0, .low = 1, .counters = 2, .cgroups_lost = 0, .reported = 0}, session(7)));
  forget_rings(session(7));
}

}  // namespace
}  // namespace keytrail::warden
