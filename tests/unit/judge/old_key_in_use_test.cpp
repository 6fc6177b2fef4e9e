// SPDX-License-Identifier: Apache-2.0
#include "court.h"

namespace keytrail::judge {
namespace {

const SlotChange kRotated{"", "/f", "p", 1'000, "OLD", "NEW"};

class OldKeyInUseTest : public Court {
 protected:
  /// A use of the old key and the holding that comes with it, after the slot changed.
  void find_one() {
    const UseRow use = use_of("OLD", 1'001);
    ASSERT_EQ(look({.uses = {use}, .holdings = {holds(use, "OLD")}, .slot_changes = {kRotated}}).size(), 1U);
  }
  void wait(std::int64_t minutes) { clock.now += minutes * kMinute; }
};

TEST_F(OldKeyInUseTest, IsFoundOnceAfterTheSlotGotAnother) {
  EXPECT_TRUE(look({.uses = {use_of("OLD", 900)}, .slot_changes = {kRotated}}).empty()) << "before the rotation";
  const auto found = look({.uses = {use_of("OLD", 1'001)}});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].type, "old_key_in_use");
  EXPECT_EQ(found[0].severity, Severity::kMedium);
  EXPECT_EQ(found[0].text, "restic used (inferred) key OLD after /f [p] got key NEW");
  EXPECT_TRUE(look({.uses = {use_of("OLD", 2'000)}}).empty()) << "told once";
}

TEST_F(OldKeyInUseTest, PossibleUseIsWordedAsPossible) {
  (void)look({.slot_changes = {kRotated}});
  EXPECT_EQ(look({.uses = {use_of("OLD", 1'001, Evidence::kPossible)}}).at(0).text,
            "restic may have used key OLD after /f [p] got key NEW");
}

TEST_F(OldKeyInUseTest, ACallToAnUnknownDestinationSaysNotThatTheKeyWentThere) {
  (void)look({.slot_changes = {kRotated}});
  UseRow use = use_of("OLD", 1'001, Evidence::kPossible);
  use.reason = Reason::kUnknownDestination;
  EXPECT_TRUE(look({.uses = {use}}).empty());
}

TEST_F(OldKeyInUseTest, AUseBeforeTheSlotWasSeenWithTheNewKeyIsNoFinding) {
  SlotChange change = kRotated;
  change.after_ns = 400;
  EXPECT_TRUE(look({.uses = {use_of("OLD", 600)}}).empty());
  EXPECT_TRUE(look({.slot_changes = {change}}).empty());
  EXPECT_TRUE(look({.uses = {use_of("OLD", 999)}}).empty()) << "within the interval";
  EXPECT_EQ(look({.uses = {use_of("OLD", 1'001)}}).size(), 1U);
}

TEST_F(OldKeyInUseTest, ActivityOfAnOpenConnectionCounts) {
  (void)look({.slot_changes = {kRotated}});
  UseTouch idle{use_of("OLD", 1'500)}, active{use_of("OLD", 1'500)};
  active.use.bytes_sent = 10;
  EXPECT_TRUE(look({.touches = {idle}}).empty());
  EXPECT_EQ(look({.touches = {active}}).size(), 1U);
}

TEST_F(OldKeyInUseTest, AnotherSlotMayKeepTheKey) {
  (void)look({.slot_changes = {kRotated}});
  UseRow use = use_of("OLD", 1'500);
  use.keys[0].slot.selector = "other";
  EXPECT_TRUE(look({.uses = {use}}).empty());
  use = use_of("OLD", 1'500);
  use.keys[0].scope = "c1";
  EXPECT_TRUE(look({.uses = {use}}).empty()) << "a file of another container";
}

TEST_F(OldKeyInUseTest, AServiceWithMountsOfItsOwnHasItsOwnSlot) {
  UseRow use = use_of("OLD", 1'500);
  use.keys[0].scope = "unit:a.service";
  (void)look({.slot_changes = {{"unit:a.service", "/f", "p", 900, "", "OLD"}, kRotated}});
  EXPECT_TRUE(look({.uses = {use}}).empty()) << "the host's file is another one";
  (void)look({.slot_changes = {{"unit:a.service", "/f", "p", 2'000, "OLD", "NEW"}}});
  use.last_ns = 2'500;
  EXPECT_EQ(look({.uses = {use}}).size(), 1U);
  use.keys[0].scope = {};
  use.actor.workload.id = "unit:b.service";
  EXPECT_EQ(look({.uses = {use}}).size(), 1U) << "one without reads the machine's";
}

TEST_F(OldKeyInUseTest, AKeyRotatedInTwoFilesIsOldInBoth) {
  SlotChange second = kRotated;
  second.place = "/g";
  second.time_ns = 1'200;
  (void)look({.slot_changes = {kRotated, second}});
  UseRow of_second = use_of("OLD", 1'300);
  of_second.keys[0].slot.place = "/g";
  EXPECT_EQ(look({.uses = {use_of("OLD", 1'300)}}).size(), 1U);
  EXPECT_EQ(look({.uses = {of_second}}).size(), 1U);
}

TEST_F(OldKeyInUseTest, ASlotsFirstKeyAndItsEndReplaceNothing) {
  (void)look({.slot_changes = {{"", "/f", "p", 1'000, "", "OLD"}, {"", "/f", "p", 1'001, "OLD", ""}}});
  EXPECT_TRUE(look({.uses = {use_of("OLD", 1'500)}}).empty());
}

TEST_F(OldKeyInUseTest, ARotationTakenBackIsForgottenAndResolves) {
  find_one();
  (void)look({.slot_changes = {{"", "/f", "p", 3'000, "NEW", "OLD"}}});
  wait(1);
  (void)look();
  EXPECT_EQ(became(), Words{"resolved old_key_in_use"});
  EXPECT_TRUE(look({.uses = {use_of("OLD", 4'000)}}).empty());
}

TEST_F(OldKeyInUseTest, ResolvesWhenItsUserHasEndedAndItIsQuiet) {
  find_one();
  wait(11);
  (void)look();
  EXPECT_EQ(became(), Words{}) << "its user lives";
  (void)look({.holdings = {ended(use_of("OLD", 0))}});
  wait(1);
  (void)look();
  EXPECT_EQ(became(), Words{"resolved old_key_in_use"});
  wait(1);
  (void)look();
  EXPECT_EQ(became(), Words{}) << "once";
}

TEST_F(OldKeyInUseTest, ResolvesWhenItsUserReadTheNewKey) {
  find_one();
  (void)look({.holdings = {holds(use_of("OLD", 0), "NEW")}});
  wait(9);
  (void)look();
  EXPECT_EQ(became(), Words{}) << "not quiet for long enough";
  wait(2);
  (void)look();
  EXPECT_EQ(became(), Words{"resolved old_key_in_use"});
}

TEST_F(OldKeyInUseTest, AUserThatEndedBeforeItsHoldingWasNotedIsNoUser) {
  ASSERT_EQ(look({.uses = {use_of("OLD", 1'001)}, .slot_changes = {kRotated}}).size(), 1U);
  wait(11);
  (void)look();
  EXPECT_EQ(became(), Words{"resolved old_key_in_use"});
}

TEST_F(OldKeyInUseTest, IsToldAgainWhenItHappensAgain) {
  find_one();
  (void)look({.holdings = {ended(use_of("OLD", 0))}});
  wait(11);
  (void)look();
  ASSERT_EQ(became(), Words{"resolved old_key_in_use"});
  EXPECT_EQ(look({.uses = {use_of("OLD", clock.now)}}).size(), 1U);
}

TEST_F(OldKeyInUseTest, HowLongQuietIsCanBeSet) {
  make({{"old_key_in_use", {.numbers = {{"quiet_minutes", 60}}}}});
  ASSERT_EQ(look({.uses = {use_of("OLD", 1'001)}, .slot_changes = {kRotated}}).size(), 1U);
  wait(59);
  (void)look();
  EXPECT_EQ(became(), Words{});
  wait(2);
  (void)look();
  EXPECT_EQ(became(), Words{"resolved old_key_in_use"});
}

TEST_F(OldKeyInUseTest, ARestartTellsNothingTwiceAndResolvesAfterADay) {
  const auto found = look({.uses = {use_of("OLD", 1'500)}, .slot_changes = {kRotated}});
  ASSERT_EQ(found.size(), 1U);
  make();
  judge->load({.replaced = {kRotated}, .findings = {{found[0].type, found[0].subject, FindingState::kOpen, 1'500}}});
  EXPECT_TRUE(look({.uses = {use_of("OLD", 1'600)}}).empty());
  wait(60);
  (void)look();
  EXPECT_EQ(became(), Words{}) << "who used it then may live";
  wait(24 * 60);
  (void)look();
  EXPECT_EQ(became(), Words{"resolved old_key_in_use"});
}

TEST_F(OldKeyInUseTest, ForgetsWhatWasUsedLongestAgo) {
  make({}, 4);
  // Its name comes first in the alphabet, and it is the one in use.
  const SlotChange mine{"", "/mine", "", 1, "AKIA0", "AKIA1"};
  UseRow use = use_of("AKIA0", 10);
  use.keys[0].slot = {From::kFile, "/mine", ""};
  EXPECT_EQ(look({.uses = {use}, .slot_changes = {mine}}).size(), 1U);
  for (int i = 0; i < 100; ++i) {
    (void)look({.uses = {use, use_of("K" + std::to_string(i), 10)},
                .slot_changes = {{"", "/f", "p", 1, "K" + std::to_string(i), "N"}}});
    EXPECT_TRUE(look({.uses = {use}}).empty()) << "told once";
  }
}

}  // namespace
}  // namespace keytrail::judge
