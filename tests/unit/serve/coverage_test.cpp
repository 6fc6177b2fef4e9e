// SPDX-License-Identifier: Apache-2.0
// Watched time and what an answer says of its period.
#include "agent/serve/coverage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/serve/fake_agent.h"

namespace keytrail::serve {
namespace {

using ::testing::ElementsAre;
using testing::FakeHistory;
using ::testing::IsEmpty;
using testing::kNoon;
using testing::kSecond;
using testing::make_row;

TEST(WatchedTime, IsWhatAllFamiliesSaw) {
  const std::vector<WatchedSpan> spans{{Family::kOpen, 10, 40}, {Family::kExec, 20, 30}, {Family::kExec, 35, 90}};
  EXPECT_THAT(watched_by_all(spans, 0b11), ElementsAre(Period{20, 30}, Period{35, 40}));
  EXPECT_THAT(watched_by_all(spans, 0b10), ElementsAre(Period{10, 40}));
  EXPECT_THAT(watched_by_all(spans, 0b111), IsEmpty()) << "connect saw nothing";
  EXPECT_THAT(watched_by_all(spans, 0), IsEmpty());
  EXPECT_THAT(watched_by_all({}, 0b11), IsEmpty());
}

TEST(WatchedTime, SpansThatTouchOrOverlapAreOne) {
  const std::vector<WatchedSpan> spans{
      {Family::kExec, 30, 50}, {Family::kExec, 10, 20}, {Family::kExec, 20, 30}, {Family::kExec, 45, 60}};
  EXPECT_THAT(watched_by_all(spans, 1), ElementsAre(Period{10, 60}));
  EXPECT_THAT(watched_by_all(std::vector<WatchedSpan>{{Family::kExec, 9, 3}}, 1), IsEmpty()) << "ends before it begins";
}

TEST(WatchedTime, HolesAreWhatLiesBetweenAndAround) {
  const std::vector<Period> watched{{10, 20}, {30, 40}};
  EXPECT_THAT(unwatched({5, 50}, watched), ElementsAre(Period{5, 10}, Period{20, 30}, Period{40, 50}));
  EXPECT_THAT(unwatched({12, 18}, watched), IsEmpty());
  EXPECT_THAT(unwatched({15, 35}, watched), ElementsAre(Period{20, 30}));
  EXPECT_THAT(unwatched({20, 30}, watched), ElementsAre(Period{20, 30}));
  EXPECT_THAT(unwatched({15, 15}, watched), IsEmpty());
}

GapRow gap_of(std::int64_t from_ns, std::int64_t to_ns, std::optional<std::uint64_t> lost, std::string scope = {}) {
  GapRow gap;
  gap.cause = "ring_full";
  gap.from_ns = from_ns;
  gap.to_ns = to_ns;
  gap.lost = lost;
  gap.scope = std::move(scope);
  return gap;
}

std::vector<Period> periods(const std::vector<GapRow>& gaps) {
  std::vector<Period> out;
  for (const GapRow& gap : gaps)
    out.push_back({gap.from_ns, gap.to_ns});
  return out;
}

TEST(MergeNearest, TheNearestBecomeOneThatCoversTheTimeBetweenThem) {
  std::vector<GapRow> gaps{gap_of(100, 110, 3), gap_of(0, 10, 1), gap_of(12, 20, 2)};
  merge_nearest(gaps, 3, false);
  EXPECT_THAT(periods(gaps), ElementsAre(Period{100, 110}, Period{0, 10}, Period{12, 20})) << "they are few enough";
  merge_nearest(gaps, 2, false);
  EXPECT_THAT(periods(gaps), ElementsAre(Period{0, 20}, Period{100, 110}));
  EXPECT_EQ(gaps[0].lost, 3U);
  EXPECT_EQ(gaps[0].text, "Several gaps of this cause in this time.");
  EXPECT_EQ(gaps[1].lost, 3U);
  EXPECT_EQ(gaps[1].text, "");
  gaps.push_back(gap_of(200, 210, std::nullopt));
  merge_nearest(gaps, 1, false);
  EXPECT_THAT(periods(gaps), ElementsAre(Period{0, 210}));
  EXPECT_EQ(gaps[0].lost, std::nullopt) << "unknown with anything is unknown";
}

TEST(MergeNearest, WhatLiesInALongOneIsNearestToIt) {
  std::vector<GapRow> gaps{gap_of(0, 100, 1), gap_of(20, 10, 1), gap_of(90, 95, 1), gap_of(101, 102, 1)};
  merge_nearest(gaps, 2, false);
  EXPECT_THAT(periods(gaps), ElementsAre(Period{0, 100}, Period{101, 102})) << "it goes on as long as it did";
  EXPECT_EQ(gaps[0].lost, 3U) << "also one that was written while the clock was set back";
}

TEST(MergeNearest, CausesAndFamiliesStayApartAndScopesOnDemand) {
  std::vector<GapRow> gaps{gap_of(0, 10, 1, "a"), gap_of(10, 20, 1, "b"), gap_of(30, 40, 1, "b")};
  gaps.push_back(gap_of(10, 20, 1, "a"));
  gaps.back().cause = "budget";
  gaps.push_back(gap_of(10, 20, 1, "a"));
  gaps.back().family = "open";
  merge_nearest(gaps, 1, false);
  ASSERT_EQ(gaps.size(), 4U) << "only those of b are alike";
  EXPECT_EQ(std::ranges::count(gaps, "b", &GapRow::scope), 1);
  EXPECT_TRUE(std::ranges::is_sorted(gaps, {}, &GapRow::from_ns));
  merge_nearest(gaps, 1, true);
  ASSERT_EQ(gaps.size(), 3U);
  const auto whole = std::ranges::find(gaps, "", &GapRow::scope);
  ASSERT_NE(whole, gaps.end()) << "of two workloads: it may concern each";
  EXPECT_EQ((Period{whole->from_ns, whole->to_ns}), (Period{0, 40}));
  EXPECT_EQ(whole->lost, 3U);
}

TEST(MergeNearest, WhatConcernsOtherKeysStaysApartUntilAllIsOne) {
  std::vector<GapRow> gaps{gap_of(0, 10, 1, "a"), gap_of(10, 20, 1, "a"), gap_of(20, 30, 1, "a")};
  gaps[0].kinds = gaps[2].kinds = {"ssh.private_key"};
  gaps[0].detail = gaps[2].detail = "gone";
  merge_nearest(gaps, 1, false);
  ASSERT_EQ(gaps.size(), 2U);
  EXPECT_EQ((Period{gaps[0].from_ns, gaps[0].to_ns}), (Period{0, 30}));
  EXPECT_EQ(gaps[0].kinds, std::vector<std::string>{"ssh.private_key"});
  merge_nearest(gaps, 1, true);
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_TRUE(gaps[0].kinds.empty() && gaps[0].detail.empty());
}

class CoverageTest : public ::testing::Test {
 protected:
  Coverage of(std::int64_t from_ns, std::int64_t to_ns) {
    HistoryFilter filter;
    filter.from_ns = from_ns;
    filter.to_ns = to_ns;
    return source_.of(filter);
  }
  /// "complete", or the reasons why not.
  std::string why(std::int64_t from_ns, std::int64_t to_ns) {
    const Coverage coverage = of(from_ns, to_ns);
    std::string out;
    for (const auto& one : coverage.json.at("why").as_array())
      out += (out.empty() ? "" : " ") + std::string(one.as_string());
    EXPECT_EQ(coverage.complete, out.empty());
    return out.empty() ? "complete" : out;
  }
  void add_gap(std::int64_t from_ns, std::int64_t to_ns, std::optional<std::uint64_t> lost) {
    history_.append(make_row(++seq_, gap_of(from_ns, to_ns, lost), to_ns));
  }

  FakeHistory history_;
  testing::FakeStatus status_;
  const catalog::Catalog& catalog_ = catalog::Catalog::builtin();
  CoverageSource source_{history_, status_, catalog_, 1000};
  std::uint64_t seq_ = 0;
};

TEST_F(CoverageTest, APeriodThatWasWatchedInFullIsComplete) {
  history_.spans = FakeHistory::watched_since(kNoon);
  EXPECT_EQ(why(kNoon, kNoon + kSecond), "complete");
  EXPECT_EQ(why(0, 0), "complete") << "all that the history has";
  EXPECT_EQ(of(0, 0).json.at("from").as_string(), "2025-11-21T12:00:00.000000000Z");
}

TEST_F(CoverageTest, WhatWasNotWatchedIsSaidWithItsReason) {
  history_.spans = FakeHistory::watched_since(kNoon, kNoon + 10 * kSecond);
  for (const WatchedSpan& later : FakeHistory::watched_since(kNoon + 20 * kSecond))
    history_.spans.push_back(later);
  EXPECT_EQ(why(kNoon - kSecond, kNoon + kSecond), "before_history");
  EXPECT_EQ(why(kNoon - 2 * kSecond, kNoon - kSecond), "before_history");
  EXPECT_EQ(why(0, kNoon - kSecond), "before_history");
  EXPECT_EQ(why(kNoon + 5 * kSecond, kNoon + 25 * kSecond), "not_watched");
  EXPECT_EQ(why(kNoon + 12 * kSecond, kNoon + 13 * kSecond), "not_watched");
  EXPECT_EQ(why(kNoon + 20 * kSecond, kNoon + 25 * kSecond), "complete") << "a restart does not spoil what is after it";
  EXPECT_EQ(why(kNoon, kNoon + 10 * kSecond), "complete") << "nor what is before";
  EXPECT_EQ(of(kNoon, kNoon + 30 * kSecond).json.at("unwatched").as_array().size(), 1U);
  history_.state_now.kept_since_ns = kNoon + 25 * kSecond;
  EXPECT_EQ(why(kNoon + 21 * kSecond, kNoon + 30 * kSecond), "evicted");
  EXPECT_EQ(why(kNoon + 25 * kSecond, kNoon + 30 * kSecond), "complete");
}

TEST_F(CoverageTest, APeriodThatEndsBeforeItBeginsOrHasNotBegunIsNotComplete) {
  EXPECT_EQ(why(kNoon + kSecond, kNoon), "from_after_to");
  EXPECT_EQ(why(now_ns() + 60 * kSecond, 0), "not_watched");
}

TEST_F(CoverageTest, OneFamilyThatIsNotArmedIsEnough) {
  std::erase_if(history_.spans, [](const WatchedSpan& span) { return span.family == Family::kName; });
  EXPECT_EQ(why(kNoon, kNoon + kSecond), "before_history not_watched") << "names were never seen";
}

TEST_F(CoverageTest, ThePresentMustBeStoredAndSeen) {
  const std::int64_t now = now_ns();
  history_.spans = FakeHistory::watched_since(kNoon, now - kSecond);
  EXPECT_EQ(why(kNoon, 0), "complete") << "the last moments are on their way";
  history_.spans = FakeHistory::watched_since(kNoon, now - 60 * kSecond);
  EXPECT_EQ(why(kNoon, 0), "not_watched unsaved");
  EXPECT_EQ(why(kNoon, now - 120 * kSecond), "complete");
  history_.spans = FakeHistory::watched_since(kNoon);
  status_.now.families[1].silent = true;
  EXPECT_EQ(why(kNoon, 0), "hook_not_armed");
  EXPECT_EQ(why(kNoon, now - 120 * kSecond), "complete") << "the past was watched";
}

TEST_F(CoverageTest, AGapThatMayHideSomethingCountsWhereItOverlaps) {
  history_.spans = FakeHistory::watched_since(kNoon);
  add_gap(kNoon + 10 * kSecond, kNoon + 20 * kSecond, 0);
  EXPECT_EQ(why(kNoon, kNoon + 30 * kSecond), "complete") << "the counters prove it empty";
  add_gap(kNoon + 10 * kSecond, kNoon + 20 * kSecond, 3);
  EXPECT_EQ(why(kNoon, kNoon + 30 * kSecond), "gap");
  EXPECT_EQ(of(kNoon, kNoon + 30 * kSecond).json.at("lost").to_number<int>(), 3);
  EXPECT_EQ(why(kNoon, kNoon + 10 * kSecond), "complete");
  EXPECT_EQ(why(kNoon + 20 * kSecond, kNoon + 30 * kSecond), "complete");
  add_gap(kNoon + 25 * kSecond, kNoon + 25 * kSecond, std::nullopt);
  EXPECT_EQ(why(kNoon + 25 * kSecond, kNoon + 26 * kSecond), "gap") << "one of a moment";
  add_gap(kNoon + 90 * kSecond, kNoon + 80 * kSecond, 1);
  EXPECT_EQ(why(kNoon + 82 * kSecond, kNoon + 83 * kSecond), "gap") << "written while the clock was set back";
}

/// Whether an answer to this question is complete.
class ConcernTest : public CoverageTest {
 protected:
  bool complete(HistoryFilter filter) {
    filter.from_ns = kNoon;
    filter.to_ns = kNoon + 30 * kSecond;
    return source_.of(filter).complete;
  }
  void add_unread(std::vector<std::string> kinds, std::string scope, std::string detail = "gone") {
    GapRow gap = gap_of(kNoon + kSecond, kNoon + 2 * kSecond, 1, std::move(scope));
    gap.cause = kFilesUnread;
    gap.detail = std::move(detail);
    gap.kinds = std::move(kinds);
    history_.append(make_row(++seq_, gap, gap.to_ns));
  }
  void know(const std::string& id, const std::string& kind) {
    KeySummary one;
    one.key.id = id;
    one.key.kind = kind;
    history_.key_list.push_back(one);
  }
  void know_workload(const std::string& id, const std::string& name) {
    WorkloadSummary one;
    one.workload.id = id;
    one.workload.name = name;
    history_.workload_list.push_back(one);
  }
};

TEST_F(ConcernTest, AnUnreadFileConcernsTheKindsThatItMayHold) {
  know("AKIA1", "aws.access_key");
  know("SHA256:x", "ssh.private_key");
  add_unread({"ssh.private_key"}, "host: cat");
  EXPECT_FALSE(complete({})) << "all keys";
  EXPECT_FALSE(complete({.key = "SHA256:x"}));
  EXPECT_FALSE(complete({.kind = "ssh.private_key"}));
  EXPECT_TRUE(complete({.key = "AKIA1"}));
  EXPECT_TRUE(complete({.kind = "aws.access_key"}));
  EXPECT_FALSE(complete({.key = "AKIA2"})) << "nobody knows what kind that is";
  add_unread({}, "host: cat");
  EXPECT_FALSE(complete({.key = "AKIA1"})) << "it may be any";
}

TEST_F(ConcernTest, WhatWasMadeFromAKeyIsAskedForToo) {
  know("AKIA1", "aws.access_key");
  add_unread({"aws.session"}, "host: cat");
  EXPECT_FALSE(complete({.key = "AKIA1"}));
  EXPECT_TRUE(complete({.key = "AKIA1", .chain = false}));
}

TEST_F(ConcernTest, OfAWorkloadOnlyItsOwnGapsAndThoseOfNobodyKnownCount) {
  know_workload("pod:u/c", "payments/api");
  know_workload("unit:backup", "backup");
  add_unread({}, "backup");
  EXPECT_TRUE(complete({.workload = "payments/api"}));
  EXPECT_TRUE(complete({.workload = "pod:u/c"}));
  EXPECT_TRUE(complete({.workload = "pay*"}));
  EXPECT_FALSE(complete({.workload = "backup"}));
  EXPECT_FALSE(complete({.workload = "unit:backup"}));
  EXPECT_FALSE(complete({.workload = "back*"}));
  add_unread({}, "pod 12ab");
  EXPECT_FALSE(complete({.workload = "payments/api"})) << "it may have been called so before its name was learnt";
}

TEST_F(ConcernTest, WhatWasLostOfTheWholeNodeConcernsAll) {
  know_workload("pod:u/c", "payments/api");
  know("AKIA1", "aws.access_key");
  add_gap(kNoon, kNoon + kSecond, 1);
  EXPECT_FALSE(complete({.key = "AKIA1", .workload = "payments/api"}));
}

TEST_F(ConcernTest, UnreadFilesAreSummedByWhy) {
  add_unread({}, "a");
  add_unread({}, "b");
  add_unread({}, "b", "refused");
  EXPECT_EQ(boost::json::serialize(of(kNoon, kNoon + 9 * kSecond).json.at("files_unread")),
            R"({"gone":2,"refused":1})");
}

TEST_F(CoverageTest, NothingIsCompleteBeforeAllGapsWereRead) {
  for (int i = 0; i < 140; ++i)
    add_gap(kNoon + i * kSecond, kNoon + i * kSecond, 0);
  CoverageSource slow(history_, status_, catalog_, 1);  // 64 pages for an answer
  EXPECT_TRUE(slow.of_the_living({}).complete) << "of them the past says nothing";
  HistoryFilter filter;
  filter.from_ns = kNoon;
  filter.to_ns = kNoon + kSecond;
  const Coverage early = slow.of(filter);
  EXPECT_FALSE(early.complete);
  EXPECT_EQ(boost::json::serialize(early.json.at("why")), R"(["gaps_not_all_known"])");
  const Coverage later = slow.of(filter);
  EXPECT_TRUE(later.complete) << boost::json::serialize(later.json.at("why"));
}

TEST_F(CoverageTest, OfVeryManyGapsTheNearestAreOneAndNoneIsForgotten) {
  constexpr std::int64_t kMany = 10'500;
  for (std::int64_t i = 0; i < kMany; ++i)  // further and further apart
    add_gap(kNoon + i * (i + 1), kNoon + i * (i + 1) + 1, 1);
  const auto found = of(kNoon, kNoon + kSecond).json;
  EXPECT_EQ(found.at("gaps_total").to_number<int>(), 5000);
  EXPECT_EQ(found.at("lost").to_number<int>(), kMany);
  EXPECT_EQ(why(kNoon + 7, kNoon + 8), "gap") << "between two of the first that became one";
  const std::int64_t last = kNoon + (kMany - 2) * (kMany - 1);
  EXPECT_EQ(why(last + 1, last + 2), "complete") << "between two of the last";
}

TEST_F(CoverageTest, AHistoryThatCannotBeReadIsNotComplete) {
  history_.state_now.error = "disk full";
  EXPECT_EQ(why(kNoon, kNoon + kSecond), "history_error");
  history_.state_now.error.clear();
  history_.broken = Error{Error::Code::kSystem, "no"};
  EXPECT_NE(why(kNoon, kNoon + kSecond), "complete");
}

TEST_F(CoverageTest, OfTheLivingOnlyThePresentCounts) {
  const std::int64_t now = now_ns();
  history_.spans = FakeHistory::watched_since(now - 60 * kSecond);
  add_gap(now - 50 * kSecond, now - 40 * kSecond, 3);
  EXPECT_TRUE(source_.of_the_living({}).complete);
  history_.spans = FakeHistory::watched_since(now - 60 * kSecond, now - 30 * kSecond);
  EXPECT_FALSE(source_.of_the_living({}).complete) << "what came since is not stored";
}

}  // namespace
}  // namespace keytrail::serve
