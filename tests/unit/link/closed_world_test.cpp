// SPDX-License-Identifier: Apache-2.0
// Each clause of the closed world, alone, and their order.
#include "agent/link/closed_world.h"

#include <gtest/gtest.h>

#include <vector>

namespace keytrail::link {
namespace {

WorldFacts all_hold() {
  WorldFacts facts;
  facts.exec_seen = true;
  facts.life_from_ns = 100;
  facts.acquired_ns = 150;
  facts.connected_ns = 200;
  facts.use_ns = 300;
  facts.armed.fill(true);
  return facts;
}

TEST(ClosedWorld, HoldsWhenAllClausesHold) { EXPECT_EQ(closed_world(all_hold()), std::nullopt); }

TEST(ClosedWorld, ExecNotSeen) {
  WorldFacts facts = all_hold();
  facts.exec_seen = false;
  EXPECT_EQ(closed_world(facts), Reason::kExecNotSeen);
}

TEST(ClosedWorld, GapInLife) {
  WorldFacts facts = all_hold();
  const std::vector<Gap> gaps{{250, 260, 3, "open"}};
  facts.gaps = gaps;
  EXPECT_EQ(closed_world(facts), Reason::kGapInLife);
}

TEST(ClosedWorld, GapOfUnknownSizeInLife) {
  WorldFacts facts = all_hold();
  const std::vector<Gap> gaps{{250, 260, std::nullopt, ""}};
  facts.gaps = gaps;
  EXPECT_EQ(closed_world(facts), Reason::kGapInLife);
}

TEST(ClosedWorld, GapsThatHideNothing) {
  WorldFacts facts = all_hold();
  const std::vector<Gap> gaps{
      {0, 99, std::nullopt, ""}, {301, 400, 5, "open"}, {250, 260, 0, "open"}, {250, 260, 5, "request"}};
  facts.gaps = gaps;
  EXPECT_EQ(closed_world(facts), std::nullopt);
}

TEST(ClosedWorld, EachFamilyThatIsNotArmed) {
  for (const Family family : {Family::kExec, Family::kOpen, Family::kConnect, Family::kName}) {
    WorldFacts facts = all_hold();
    facts.armed[static_cast<std::size_t>(family)] = false;
    EXPECT_EQ(closed_world(facts), Reason::kHooksNotArmed) << to_string(family);
  }
  WorldFacts facts = all_hold();
  facts.armed[static_cast<std::size_t>(Family::kRequest)] = false;
  EXPECT_EQ(closed_world(facts), std::nullopt);
}

TEST(ClosedWorld, LocalBroker) {
  WorldFacts facts = all_hold();
  facts.broker_ns = 120;
  EXPECT_EQ(closed_world(facts), Reason::kLocalBroker);
  facts.broker_ns = 301;
  EXPECT_EQ(closed_world(facts), std::nullopt) << "talked to it after the use";
}

TEST(ClosedWorld, RelayOrHub) {
  WorldFacts facts = all_hold();
  facts.relay_or_hub = true;
  EXPECT_EQ(closed_world(facts), Reason::kRelayOrHub);
}

TEST(ClosedWorld, OpenedBeforeKey) {
  WorldFacts facts = all_hold();
  facts.acquired_ns = 201;
  EXPECT_EQ(closed_world(facts), Reason::kOpenedBeforeKey);
}

TEST(ClosedWorld, UnidentifiedFile) {
  WorldFacts facts = all_hold();
  facts.unidentified_ns = 120;
  EXPECT_EQ(closed_world(facts), Reason::kUnidentifiedFile);
  facts.unidentified_ns = 301;
  EXPECT_EQ(closed_world(facts), std::nullopt);
}

TEST(ClosedWorld, NotSeenWhole) {
  WorldFacts facts = all_hold();
  facts.cut_ns = 120;
  EXPECT_EQ(closed_world(facts), Reason::kNotSeenWhole);
  facts.cut_ns = 301;
  EXPECT_EQ(closed_world(facts), std::nullopt);
}

TEST(ClosedWorld, NamesContradict) {
  WorldFacts facts = all_hold();
  facts.names_contradict = true;
  EXPECT_EQ(closed_world(facts), Reason::kNamesContradict);
}

TEST(ClosedWorld, NameAtLocalAddress) {
  WorldFacts facts = all_hold();
  facts.local_name = true;
  EXPECT_EQ(closed_world(facts), Reason::kNameAtLocalAddress);
}

TEST(ClosedWorld, TheFirstThatFailsIsTheReason) {
  const std::vector<Gap> gaps{{250, 260, 3, "open"}};
  WorldFacts facts;
  facts.life_from_ns = 100;
  facts.use_ns = 300;
  facts.gaps = gaps;
  facts.broker_ns = 1;
  facts.relay_or_hub = true;
  facts.connected_ns = 200;
  facts.acquired_ns = 250;
  facts.unidentified_ns = 1;
  facts.cut_ns = 1;
  facts.names_contradict = true;
  facts.local_name = true;
  std::vector<Reason> order;
  const auto next = [&] { order.push_back(closed_world(facts).value()); };
  next(), facts.exec_seen = true;
  next(), facts.gaps = {};
  next(), facts.armed.fill(true);
  next(), facts.broker_ns = 0;
  next(), facts.relay_or_hub = false;
  next(), facts.acquired_ns = 0;
  next(), facts.unidentified_ns = 0;
  next(), facts.cut_ns = 0;
  next(), facts.names_contradict = false;
  next(), facts.local_name = false;
  EXPECT_EQ(closed_world(facts), std::nullopt);
  EXPECT_EQ(order, (std::vector{Reason::kExecNotSeen, Reason::kGapInLife, Reason::kHooksNotArmed, Reason::kLocalBroker,
                                Reason::kRelayOrHub, Reason::kOpenedBeforeKey, Reason::kUnidentifiedFile,
                                Reason::kNotSeenWhole, Reason::kNamesContradict, Reason::kNameAtLocalAddress}));
}

TEST(GapList, WhenFullTheOldestBecomeOne) {
  GapList list(3);
  for (std::uint64_t i = 1; i <= 10; ++i)
    list.add({i * 10, i * 10 + 1, 1, "open"});
  EXPECT_EQ(list.all().size(), 3U);
  EXPECT_EQ(list.all().front().from_ns, 10U);
  EXPECT_EQ(list.all().front().to_ns, 81U);
  EXPECT_TRUE(overlaps(list.all(), 50, 50, {}));
}

TEST(GapList, OfTwoOwnersTheyAreAnybodys) {
  GapList list(2);
  list.add({10, 11, 1, "open", 7});
  list.add({11, 12, 1, "open", 7});
  EXPECT_EQ(list.all().size(), 1U) << "it goes on";
  list.add({12, 13, 1, "open", 8});
  ASSERT_EQ(list.all().size(), 2U) << "that is another's";
  list.add({20, 21, 1, "open", 8});
  ASSERT_EQ(list.all().size(), 2U);
  EXPECT_EQ(list.all().front().owner, 0U);
  EXPECT_EQ(list.all().back().owner, 8U);
}

TEST(CgroupOwners, AGapConcernsWhoMayHaveBeenThere) {
  CgroupOwners in;
  in.note(0, 0);
  EXPECT_TRUE(in.may_include(7)) << "nothing is known";
  in.note(100, 0);
  EXPECT_TRUE(in.may_include(7)) << "its cgroup has no name yet";
  in.note(100, 1);
  EXPECT_TRUE(in.may_include(1));
  EXPECT_FALSE(in.may_include(7));
  EXPECT_TRUE(in.may_include(0)) << "anybody's";
  in.note(100, 2);
  EXPECT_TRUE(in.may_include(1) && in.may_include(2)) << "the cgroup was given to another one";
  in.note(101, 7);
  EXPECT_TRUE(in.may_include(7)) << "it was moved";
  EXPECT_TRUE(in.may_include(1)) << "and was there before";
  for (std::uint64_t cgroup = 200; cgroup < 300; ++cgroup)
    in.note(cgroup, 7);
  EXPECT_FALSE(in.may_include(9)) << "all of them one owner's";
  for (std::uint64_t cgroup = 300; cgroup < 300 + CgroupOwners::kMost; ++cgroup)
    in.note(cgroup, cgroup);
  EXPECT_TRUE(in.may_include(9)) << "more than is kept";
}

TEST(CgroupOwners, AGapOfOthersHidesNothing) {
  CgroupOwners in;
  in.note(100, 1);
  const std::vector<Gap> gaps{{10, 20, 1, "open", 7}, {30, 40, 1, "open", 1}};
  EXPECT_FALSE(overlaps(gaps, 5, 25, in));
  EXPECT_TRUE(overlaps(gaps, 5, 35, in));
  EXPECT_EQ(first_overlap(gaps, 5, in), 30U);
  EXPECT_EQ(first_overlap(gaps, 5, {}), 10U);
}

}  // namespace
}  // namespace keytrail::link
