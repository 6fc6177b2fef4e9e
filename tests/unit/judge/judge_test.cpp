// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/judge.h"

#include <gtest/gtest.h>

namespace keytrail::judge {
namespace {

struct FakeClock : Clock {
  [[nodiscard]] std::uint64_t boot_ns() const override { return 5; }
  [[nodiscard]] std::int64_t wall_ns() const override { return 5'000; }
};

using Changes = std::vector<SlotChange>;
const SlotChange kRotation{"", "/f", "p", 1000, "OLD", "NEW"};

UseRow use_of(const std::string& id, std::int64_t time, Evidence evidence = Evidence::kInferred) {
  UseRow use;
  use.actor.program = "restic";
  use.actor.exe = "/usr/bin/restic";
  use.actor.workload.id = "backup.service";
  Candidate candidate;
  candidate.key.id = id;
  candidate.slot = {From::kFile, "/f", "p"};
  use.keys.push_back(candidate);
  use.evidence = evidence;
  use.first_ns = use.last_ns = time;
  return use;
}

class JudgeTest : public ::testing::Test {
 protected:
  std::vector<FindingRow> look(const std::vector<UseRow>& uses, const Changes& changes = {}, const std::vector<Row>& rows = {},
                               const std::vector<UseTouch>& touches = {}) {
    std::vector<FindingRow> out;
    for (Row& row : judge.on_batch(rows, uses, touches, changes)) {
      EXPECT_EQ(row.observed_ns, 5'000);
      out.push_back(std::get<FindingRow>(row.body));
    }
    return out;
  }
  FakeClock clock;
  Judge judge{clock};
};

TEST_F(JudgeTest, OldKeyInUse) {
  EXPECT_TRUE(look({use_of("OLD", 900)}, {kRotation}).empty()) << "before the rotation";
  const auto found = look({use_of("OLD", 1'001)});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].type, "old_key_in_use");
  EXPECT_EQ(found[0].severity, Severity::kMedium);
  EXPECT_EQ(found[0].text, "restic used (inferred) key OLD after /f [p] got key NEW");
  EXPECT_TRUE(look({use_of("OLD", 2'000)}).empty()) << "told once";
}

TEST_F(JudgeTest, PossibleUseIsWordedAsPossible) {
  (void)look({}, {kRotation});
  EXPECT_EQ(look({use_of("OLD", 1'001, Evidence::kPossible)}).at(0).text, "restic may have used key OLD after /f [p] got key NEW");
}

TEST_F(JudgeTest, TheNewsOfARotationMayComeAfterTheUse) {
  EXPECT_TRUE(look({use_of("OLD", 1'500)}).empty());
  EXPECT_EQ(look({}, {kRotation}).size(), 1U);
}

TEST_F(JudgeTest, ActivityOfAnOpenConnectionCounts) {
  (void)look({}, {kRotation});
  UseTouch idle{use_of("OLD", 1'500)}, active{use_of("OLD", 1'500)};
  active.use.bytes_sent = 10;
  EXPECT_TRUE(look({}, {}, {}, {idle}).empty());
  EXPECT_EQ(look({}, {}, {}, {active}).size(), 1U);
}

TEST_F(JudgeTest, AnotherSlotMayKeepTheKey) {
  (void)look({}, {kRotation});
  UseRow use = use_of("OLD", 1'500);
  use.keys[0].slot.selector = "other";
  EXPECT_TRUE(look({use}).empty());
}

TEST_F(JudgeTest, ARotationTakenBackIsForgotten) {
  (void)look({}, {kRotation});
  (void)look({}, {{"", "/f", "p", 1200, "NEW", "OLD"}});
  EXPECT_TRUE(look({use_of("OLD", 1'500)}).empty());
  EXPECT_EQ(look({use_of("NEW", 1'500)}).size(), 1U) << "now the other one is old";
}

TEST_F(JudgeTest, AKeyThatWasReplacedInTwoFilesIsOldInBoth) {
  (void)look({}, {kRotation, {"", "/g", "p", 1000, "OLD", "NEW"}});
  UseRow use = use_of("OLD", 1'500);
  use.actor.workload.id = "other.service";
  use.keys[0].slot.place = "/g";
  EXPECT_EQ(look({use_of("OLD", 1'500)}).size(), 1U);
  EXPECT_EQ(look({use}).size(), 1U);
  // One of them goes back: only there it is right again.
  (void)look({}, {{"", "/g", "p", 1600, "NEW", "OLD"}});
  use.actor.workload.id = "third.service";
  use.first_ns = use.last_ns = 1'700;
  EXPECT_TRUE(look({use}).empty());
  use.keys[0].slot.place = "/f";
  EXPECT_EQ(look({use}).size(), 1U);
}

TEST_F(JudgeTest, TheSamePathInAnotherContainerIsAnotherSlot) {
  (void)look({}, {kRotation});
  UseRow use = use_of("OLD", 1'500);
  use.actor.workload.facts = {{fact::kContainerId, "0123456789abcdef"}};
  EXPECT_TRUE(look({use}).empty());
}

TEST_F(JudgeTest, KeyInArguments) {
  AcquisitionRow acquisition;
  acquisition.actor.program = "curl";
  acquisition.key.id = "fp:1";
  acquisition.slot = {From::kArgument, "argument 3", {}};
  Row row;
  row.time_ns = 7;
  row.body = acquisition;
  const auto found = look({}, {}, {row});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].type, "key_in_arguments");
  EXPECT_EQ(found[0].attack, std::vector<std::string>{"T1552"});
  EXPECT_TRUE(look({}, {}, {row}).empty());
  acquisition.slot.from = From::kFile;
  row.body = acquisition;
  EXPECT_TRUE(look({}, {}, {row}).empty());
}

TEST_F(JudgeTest, ARestartTellsNothingTwice) {
  ASSERT_EQ(look({use_of("OLD", 1'500)}, {kRotation}).size(), 1U);
  Judge again(clock);
  again.load({.replaced = {kRotation}, .findings = {{"old_key_in_use", "OLD|backup.service|/usr/bin/restic", FindingState::kOpen, 1'500}}});
  EXPECT_TRUE(again.on_batch({}, std::vector{use_of("OLD", 1'600)}, {}, {}).empty());
  UseRow other = use_of("OLD", 1'700);
  other.actor.workload.id = "other.service";
  EXPECT_EQ(again.on_batch({}, std::vector{other}, {}, {}).size(), 1U) << "the rotation is known";
}

TEST_F(JudgeTest, FloodsAreBounded) {
  Judge small(clock, 4);
  for (int i = 0; i < 100; ++i) {
    const std::string id = "K" + std::to_string(i);
    const Changes change{{"", "/f", "p", 1, id, "N"}};
    EXPECT_EQ(small.on_batch({}, std::vector{use_of(id, 10)}, {}, change).size(), 1U);
  }
  EXPECT_EQ(small.on_batch({}, std::vector{use_of("K0", 20)}, {}, {}).size(), 0U) << "its rotation is forgotten";
}

}  // namespace
}  // namespace keytrail::judge
