// SPDX-License-Identifier: Apache-2.0
#include "court.h"

namespace keytrail::judge {
namespace {

class AgentSilencedTest : public Court {
 protected:
  GapRow gap(const std::string& cause, const std::string& family = "") const {
    GapRow out;
    out.cause = cause;
    out.family = family;
    out.to_ns = clock.now;
    return out;
  }
};

TEST_F(AgentSilencedTest, EachPartIsTold) {
  const auto found = look({.rows = {row_of(gap("warden_silent", "open"), 7), row_of(gap("hook_silent", "exec"), 7),
                                    row_of(gap("hook_silent", "connect"), 7), row_of(gap("worker_stalled"), 7)}});
  ASSERT_EQ(found.size(), 4U);
  EXPECT_EQ(found[0].type, "agent_silenced");
  EXPECT_EQ(found[0].severity, Severity::kHigh);
  EXPECT_EQ(found[0].text, "the agent's warden gave no sign for 10 s; what happened meanwhile may be unseen");
  EXPECT_EQ(found[1].text, "the agent's hooks (exec) gave no sign for 10 s; what happened meanwhile may be unseen");
}

TEST_F(AgentSilencedTest, WhoDetachesAHookOrChangesATableIsTold) {
  GapRow detached = gap("hook_detached", "connect");
  detached.text = "The program at cgroup/connect4 was detached by somebody, and is attached again.";
  const auto found = look({.rows = {row_of(detached, 7), row_of(gap("map_changed", "open"), 7)}});
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].text,
            "the agent's hooks (connect) were tampered with; what happened meanwhile may be unseen: " + detached.text);
  EXPECT_EQ(found[1].subject, "map_changed|open");
}

TEST_F(AgentSilencedTest, OtherGapsAreNone) {
  EXPECT_TRUE(look({.rows = {row_of(gap("worker_restart"), 7), row_of(gap("ring_full", "open"), 7)}}).empty());
}

TEST_F(AgentSilencedTest, IsResolvedWhenNoMoreOfItIsTold) {
  ASSERT_EQ(look({.rows = {row_of(gap("warden_silent", "open"), 7)}}).size(), 1U);
  clock.now += kMinute / 3;
  EXPECT_TRUE(look({.rows = {row_of(gap("warden_silent", "open"), 8)}}).empty()) << "it goes on";
  clock.now += kMinute / 3;
  (void)look();
  EXPECT_EQ(became(), Words{});
  clock.now += kMinute / 3;
  (void)look();
  EXPECT_EQ(became(), Words{"resolved agent_silenced"});
}

TEST_F(AgentSilencedTest, WhatAnEarlierRunLeftOpenIsResolved) {
  make();
  judge->load({.findings = {{"agent_silenced", "warden_silent|open", FindingState::kOpen, clock.now}}});
  clock.now += kMinute;
  (void)look();
  EXPECT_EQ(became(), Words{"resolved agent_silenced"});
}

}  // namespace
}  // namespace keytrail::judge
