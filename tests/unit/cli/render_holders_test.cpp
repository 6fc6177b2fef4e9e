// SPDX-License-Identifier: Apache-2.0
// Who still has a key and of whom that cannot be told, as text; what limits an answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/cli/rendered.h"

namespace keytrail::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(RenderTest, HoldersSayWhetherItIsClear) {
  EXPECT_THAT(render_holders(ask("/v1/holders"), view_), HasSubstr("CLEAR: no process"));
  history_.holding_list.push_back(
      {make_actor(), make_key(), make_slot(), kNoon, kNoon + 82 * kSecond, How::kDirect, true});
  const std::string text = render_holders(ask("/v1/holders"), view_);
  EXPECT_THAT(text, HasSubstr("NOT CLEAR: 1 process holds it (last use 38 s ago)\n"));
  EXPECT_THAT(text, HasSubstr("file /root/.aws/credentials [prod]"));
  EXPECT_THAT(text,
              HasSubstr("the file has another key by now, and it has not read it again  restart the pod payments/api"));
  history_.holding_list.clear();
  status_.now.families[1].hook.chosen = "";
  EXPECT_THAT(render_holders(ask("/v1/holders"), view_), HasSubstr("CANNOT TELL"));
}

TEST_F(RenderTest, HoldersNameOfWhomItCannotBeTold) {
  UnseenLives lives;
  lives.callers = {{make_actor(412), Reason::kExecNotSeen, {}}, {make_actor(413), Reason::kGapInLife, {}}};
  lives.callers_not_listed = 5;
  lives.quiet = {{"sshd", "ssh.service", {}, 40}, {"bash", "person: bo", {}, 1}};
  status_.lives = std::make_shared<UnseenLives>(lives);
  view_.key = kKeyId;
  std::string text = render_holders(ask("/v1/holders"), view_);
  EXPECT_THAT(text, HasSubstr("CANNOT TELL: no process was seen that holds AKIAIOSFODNN7EXAMPLE, but 48 processes "
                              "cannot be checked.\n"));
  EXPECT_THAT(text, HasSubstr("python3[412]  older than the agent, or its start was not seen\n"));
  EXPECT_THAT(text, HasSubstr("python3[413]  a gap overlaps its life\n"));
  EXPECT_THAT(text, HasSubstr("TO MAKE SURE restart the pod payments/api\n"));
  EXPECT_THAT(text, HasSubstr("! and 5 more processes that cannot be checked\n"));
  EXPECT_THAT(text, HasSubstr("! 41 processes were not seen from their start on and connected to nobody since: "
                              "sshd ×40, bash. Each may hold "
                              "it: start them again, or leave them out with --ignore-quiet.\n"));
  EXPECT_THAT(render_holders(ask("/v1/holders?quiet=false"), view_), HasSubstr("but 7 processes cannot be checked.\n"));
  status_.lives = nullptr;
  EXPECT_THAT(render_holders(ask("/v1/holders"), view_),
              HasSubstr("but the agent has not looked at all processes yet."));
  status_.lives = std::make_shared<UnseenLives>(lives);
  history_.holding_list.push_back({make_actor(), make_key(), make_slot(), kNoon, 0, How::kDirect, true});
  text = render_holders(ask("/v1/holders"), view_);
  EXPECT_THAT(text, HasSubstr("NOT CLEAR: 1 process holds it (never seen used), 48 cannot be checked\n"));
}

TEST_F(RenderTest, CoverageSaysOnlyWhatLimitsThisAnswer) {
  EXPECT_THAT(coverage_text(ask("/v1/holders"), view_),
              ::testing::MatchesRegex("Coverage: node node-1 · .*Z · complete\n"))
      << "the request family is optional and says nothing of holders";
  GapRow gap;
  gap.cause = "ring_full";
  gap.from_ns = gap.to_ns = kNoon;
  gap.lost = 0;
  history_.stored = {make_row(1, gap)};
  EXPECT_THAT(coverage_text(ask("/v1/keys"), view_), Not(HasSubstr("GAP"))) << "proved empty";
  gap.lost = 2;
  for (std::uint64_t seq = 2; seq < 10; ++seq)
    history_.stored.push_back(make_row(seq, gap));
  const std::string text = coverage_text(ask("/v1/keys"), view_);
  EXPECT_EQ(std::ranges::count(text, '\n'), 5) << text;
  EXPECT_THAT(text, HasSubstr("! 5 more gaps"));
  EXPECT_THAT(text, HasSubstr(" · 8 gaps, 16 lost · INCOMPLETE\n"));
  GapRow baseline;
  baseline.cause = "baseline";
  baseline.to_ns = kNoon;
  history_.stored.push_back(make_row(10, baseline));
  const std::string with_baseline = coverage_text(ask("/v1/keys"), view_);
  EXPECT_EQ(with_baseline.substr(0, with_baseline.rfind("Cov")), text.substr(0, text.rfind("Cov")))
      << "what was before it was watched is none of the watched time's gaps";
  EXPECT_THAT(coverage_text(ask("/v1/holders"), view_), Not(HasSubstr("gap"))) << "told by who lived through it";
}

TEST_F(RenderTest, CoverageSaysHowManyKeyFilesWereNotReadAndWhy) {
  GapRow gap;
  gap.cause = kFilesUnread;
  gap.detail = "gone";
  gap.from_ns = gap.to_ns = kNoon;
  gap.lost = 1;
  gap.text = "1 key file was not read (gone), of host: cat.";
  gap.scope = "host: cat";
  history_.stored = {make_row(1, gap)};
  std::string text = coverage_text(ask("/v1/keys"), view_);
  EXPECT_THAT(text, HasSubstr("files_unread, of host: cat only: 1 not read. 1 key file was not read (gone)"));
  EXPECT_THAT(text, HasSubstr("Z · 1 key file not read (gone) · INCOMPLETE\n"));
  gap.lost = 2;
  gap.detail = "too large";
  history_.stored.push_back(make_row(2, gap));
  gap.cause = "ring_full";
  history_.stored.push_back(make_row(3, gap));
  text = coverage_text(ask("/v1/keys"), view_);
  EXPECT_THAT(text, HasSubstr(" · 3 key files not read (1 gone, 2 too large) · 1 gap, 2 lost · INCOMPLETE\n"));
}

TEST_F(RenderTest, CoverageSaysWhenNobodyWatched) {
  history_.spans = FakeHistory::watched_since(kNoon, kNoon + 60 * kSecond);
  for (const WatchedSpan& span : FakeHistory::watched_since(kNoon + 90 * kSecond))
    history_.spans.push_back(span);
  std::string text = coverage_text(ask("/v1/keys"), view_);
  EXPECT_THAT(text, HasSubstr("! NOT WATCHED 2025-11-21 12:01:00 to 2025-11-21 12:01:30\n"));
  EXPECT_THAT(text, HasSubstr(" · not all of it was watched · INCOMPLETE\n"));
  GapRow gap;
  gap.cause = "agent_restart";
  gap.from_ns = kNoon + 60 * kSecond;
  gap.to_ns = kNoon + 90 * kSecond;
  history_.stored = {make_row(1, gap)};
  text = coverage_text(ask("/v1/keys"), view_);
  EXPECT_THAT(text, Not(HasSubstr("NOT WATCHED"))) << "the gap says it";
  EXPECT_THAT(text, HasSubstr("! GAP 2025-11-21 12:01:00 to 2025-11-21 12:01:30 agent_restart"));
  text = coverage_text(ask("/v1/keys?since=2025-11-21T11:00:00Z&until=2025-11-21T12:00:30Z"), view_);
  EXPECT_THAT(text, HasSubstr("Coverage: node node-1 · 2025-11-21 12:00:00Z to 2025-11-21 12:00:30Z · nothing is "
                              "recorded of the time before · INCOMPLETE\n"));
}

TEST_F(RenderTest, AGapOfOneWorkloadIsNotTakenForTheWholeNodes) {
  GapRow gap;
  gap.cause = "budget";
  gap.family = "open";
  gap.from_ns = kNoon;
  gap.to_ns = kNoon + kSecond;
  gap.lost = 12;
  gap.text = "It opened too many files.";
  gap.scope = "payments/api";
  history_.stored = {make_row(1, gap)};
  EXPECT_THAT(
      coverage_text(ask("/v1/uses"), view_),
      HasSubstr("! GAP 2025-11-21 12:00:00 to 2025-11-21 12:00:01 budget (open), of payments/api only: 12 lost. "
                "It opened too many files.\n"));
}

TEST_F(RenderTest, AnEmptyAnswerSaysByWhatItWasNarrowed) {
  history_.edge_list.clear();
  history_.workload_list.push_back({.workload = make_actor().workload});
  EXPECT_THAT(render_uses(ask("/v1/uses?workload=payments/api&limit=5"), view_),
              ::testing::StartsWith("No use with workload payments/api seen "));
  EXPECT_THAT(render_uses(ask("/v1/uses?workload=nosuch&limit=5"), view_),
              ::testing::StartsWith("Never seen on node-1: no workload of this name "));
  EXPECT_THAT(render_uses(ask("/v1/uses"), view_), ::testing::StartsWith("No use seen "));
}

TEST_F(RenderTest, AReplacedKeySaysWhen) {
  KeySummary row{make_key(), kNoon, {make_slot()}, {"payments/api"}, 1, kNoon, {}, "AKIAI44QH8DHBEXAMPLE"};
  row.replaced_ns = kNoon + 90 * kSecond;
  row.replaced_after_ns = kNoon + 88 * kSecond;
  history_.key_list = {row};
  view_.wide = true;
  EXPECT_THAT(render_keys(ask("/v1/keys"), view_), HasSubstr("AKIAI44QH8DHBEXAMPLE 2025-11-21 12:01:30"));
  view_.key = kKeyId;
  EXPECT_THAT(key_headline(ask("/v1/keys"), ask("/v1/uses"), view_),
              HasSubstr("held by 1 process · replaced 2025-11-21 12:01:30 by AKIAI44QH8DHBEXAMPLE"));
  history_.key_list[0].replaced_after_ns = kNoon - 600 * kSecond;
  EXPECT_THAT(key_headline(ask("/v1/keys"), ask("/v1/uses"), view_),
              HasSubstr("replaced 2025-11-21 11:50:00 to 2025-11-21 12:01:30 by"));
}

TEST_F(RenderTest, DoctorSaysWhatIsMissing) {
  status_.now.families[1].hook.missing = "paths longer than 1,024 bytes are cut";
  status_.now.families[2].silent = true;
  status_.now.families[0].hook.refused = {{"fentry", "no trampolines"}};
  status_.now.families[1].hook.cost = "every system call about +20 ns";
  UnseenLives lives;
  lives.callers = {{make_actor(412), Reason::kExecNotSeen, {}}};
  lives.quiet = {{"sshd", "ssh.service", {}, 40}};
  status_.lives = std::make_shared<UnseenLives>(lives);
  const std::string text = render_doctor(ask("/v1/doctor"), view_);
  EXPECT_THAT(text, HasSubstr("41 processes, 1 of which connected to somebody"));
  EXPECT_THAT(text, HasSubstr("Key files that are opened"));
  EXPECT_THAT(text, HasSubstr("partial"));
  EXPECT_THAT(text, HasSubstr("heartbeat does not come through"));
  EXPECT_THAT(text, HasSubstr("exec: not fentry: no trampolines"));
  EXPECT_THAT(text, HasSubstr("every system call about +20 ns"));
  EXPECT_THAT(text, HasSubstr("\nNot seen on any kernel: keys in kernel keyrings, "));
}

}  // namespace
}  // namespace keytrail::cli
