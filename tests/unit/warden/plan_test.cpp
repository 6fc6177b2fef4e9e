// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace keytrail::warden {
namespace {

Features everything() { return {}; }

Features without(std::initializer_list<Feature> missing) {
  Features out;
  for (Feature one : missing)
    out[static_cast<std::size_t>(one)] = "not on this kernel";
  return out;
}

const HookReport& report(const Plan& plan, Family family) { return plan.reports[static_cast<std::size_t>(family)]; }

TEST(Plan, TakesTheBestOfEachPartOnAKernelThatHasEverything) {
  const Plan best = plan(everything());
  EXPECT_EQ(report(best, Family::kOpen).chosen, "fentry security_file_open, fexit process_vm_readv and ptrace");
  EXPECT_TRUE(report(best, Family::kOpen).refused.empty());
  EXPECT_EQ(report(best, Family::kOpen).cost, "");
  EXPECT_THAT(report(best, Family::kConnect).chosen, testing::HasSubstr("cgroup connect_unix"));
}

TEST(Plan, KernelMemoryIsReadByTheFastWayWhereThereIsOne) {
  const auto programs = [](const Features& features, std::string_view end) {
    std::size_t count = 0;
    for (const Alternative* choice : plan(features).chosen)
      count += static_cast<std::size_t>(
          std::ranges::count_if(choice->programs, [&](std::string_view name) { return name.ends_with(end); }));
    return count;
  };
  // one of open; exec, fork, exit, egress; connect and sendmsg of both families
  EXPECT_EQ(programs(everything(), "_fast"), 9U);
  EXPECT_EQ(programs(everything(), "_slow"), 0U);
  const Features old = without({Feature::kRdonlyCast});
  EXPECT_EQ(programs(old, "_fast"), 0U);
  EXPECT_EQ(programs(old, "_slow"), 9U);
  for (const HookReport& one : plan(old).reports)
    EXPECT_FALSE(one.sees_less) << "it costs more and sees the same";
}

TEST(Plan, FallsBackInOrderAndSaysWhy) {
  const Plan fallback = plan(without({Feature::kTrampoline, Feature::kKprobe}));
  const HookReport& open = report(fallback, Family::kOpen);
  EXPECT_EQ(open.chosen, "tracepoint sys_exit_openat, tracepoint sys_exit_process_vm_readv and ptrace");
  ASSERT_EQ(open.refused.size(), 6U);
  EXPECT_EQ(open.refused[0].name, "fentry security_file_open");
  EXPECT_EQ(open.refused[0].why, "not on this kernel");
  EXPECT_NE(open.cost, "");
  EXPECT_NE(open.missing, "");
  EXPECT_THAT(
      report(plan(without({Feature::kTrampoline, Feature::kKprobe, Feature::kRdonlyCast})), Family::kOpen).chosen,
      testing::StartsWith("tracepoint sys_exit_openat with probe_read, "));
  const Plan no_rings = plan(without({Feature::kTrampoline, Feature::kKprobe}),
                             {{"tracepoint sys_exit_openat", "refused at load: No such process"}});
  EXPECT_THAT(report(no_rings, Family::kOpen).chosen,
              testing::StartsWith("tracepoint sys_exit_openat without io_uring_complete, "));
  EXPECT_THAT(report(no_rings, Family::kOpen).missing, testing::HasSubstr("opens through io_uring,"));
  EXPECT_THAT(open.missing, testing::Not(testing::HasSubstr("opens through io_uring,")));
}

TEST(Plan, AFallbackSeesLessOnlyWhenItMissesWhatTheBestSees) {
  EXPECT_FALSE(report(plan(everything()), Family::kOpen).sees_less);
  const Plan linux_6_1 = plan(without({Feature::kRdonlyCast, Feature::kCgroupUnix}));
  EXPECT_THAT(report(linux_6_1, Family::kOpen).chosen,
              testing::StartsWith("fentry security_file_open with probe_read, "));
  EXPECT_FALSE(report(linux_6_1, Family::kOpen).sees_less);
  EXPECT_TRUE(report(linux_6_1, Family::kConnect).sees_less) << "Unix datagram sockets";
  EXPECT_FALSE(report(plan(without({Feature::kTrampoline})), Family::kOpen).sees_less);
  EXPECT_TRUE(report(plan(without({Feature::kTrampoline, Feature::kKprobe})), Family::kOpen).sees_less);
  EXPECT_TRUE(report(plan(without({Feature::kIterator})), Family::kLifetime).sees_less) << "a part without any way";
}

TEST(TargetWays, TheLinkIsBetterThanTheEventAndNeitherIsSaid) {
  EXPECT_EQ(target_way(everything()).way, TargetWay::kUprobeMulti);
  EXPECT_EQ(target_way(without({Feature::kUprobeMulti})).way, TargetWay::kUprobe);
  const TargetChoice none = target_way(without({Feature::kUprobeMulti, Feature::kUprobe}));
  EXPECT_EQ(none.way, TargetWay::kNone);
  EXPECT_EQ(none.why, "uprobe_multi: not on this kernel; uprobe: not on this kernel");
}

TEST(Plan, AFamilyWithoutAWayIsUnarmedAndSaysWhatIsNotSeen) {
  const Plan blind = plan(without({Feature::kTrampoline, Feature::kKprobe, Feature::kTracepoint}));
  EXPECT_EQ(report(blind, Family::kOpen).chosen, "");
  EXPECT_EQ(report(blind, Family::kOpen).refused.size(), 11U);
  EXPECT_EQ(report(blind, Family::kOpen).missing,
            "files that are read; memory of other processes taken by process_vm_readv or ptrace");
  EXPECT_NE(report(blind, Family::kExec).chosen, "");
}

TEST(Plan, APartThatIsNotEssentialLeavesTheFamilyArmed) {
  const Plan partly =
      plan(without({Feature::kTrampoline, Feature::kCgroupUnix, Feature::kTracepoint, Feature::kKprobe}));
  EXPECT_NE(report(partly, Family::kConnect).chosen, "");
  EXPECT_THAT(report(partly, Family::kConnect).missing, testing::HasSubstr("local sockets of key brokers"));
}

TEST(Plan, ThatTheMemoryOfOthersIsNotSeenIsSaidAndTheFilesAreAllTheSame) {
  constexpr auto kCalls = "tracepoint sys_exit_process_vm_readv and ptrace";
  const Plan without_calls = plan(without({Feature::kTrampoline, Feature::kKprobe}), {{kCalls, "refused at load"}});
  const HookReport& open = report(without_calls, Family::kOpen);
  EXPECT_EQ(open.chosen, "tracepoint sys_exit_openat");
  EXPECT_TRUE(open.sees_less);
  EXPECT_THAT(open.missing, testing::HasSubstr("memory of other processes taken by process_vm_readv or ptrace"));
  EXPECT_THAT(report(plan(everything()), Family::kOpen).missing, testing::HasSubstr("core dump"))
      << "what no hook shows is said too";
}

TEST(Plan, WhatTheKernelTurnedDownLaterIsNotChosenAgain) {
  const Plan second = plan(everything(), {{"fentry security_file_open", "refused at load: Invalid argument"}});
  EXPECT_THAT(report(second, Family::kOpen).chosen, testing::StartsWith("fentry security_file_open with probe_read, "));
  ASSERT_EQ(report(second, Family::kOpen).refused.size(), 1U);
  EXPECT_EQ(report(second, Family::kOpen).refused[0].why, "refused at load: Invalid argument");
}

TEST(Plan, WithNothingAtAllNothingIsChosen) {
  Features none;
  none.fill("no");
  const Plan empty = plan(none);
  EXPECT_TRUE(empty.chosen.empty());
  ASSERT_EQ(empty.reports.size(), kFamilies);
  for (const HookReport& one : empty.reports)
    EXPECT_EQ(one.chosen, "");
}

TEST(Plan, AlternativesOfOnePartStandTogetherAndTheLastSaysWhatIsLost) {
  std::set<std::pair<Family, std::string_view>> finished;
  const std::vector<Alternative>& table = alternatives();
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::pair part{table[i].family, table[i].part};
    EXPECT_FALSE(finished.contains(part)) << table[i].name;
    EXPECT_FALSE(table[i].programs.empty());
    if (i + 1 == table.size() || std::pair{table[i + 1].family, table[i + 1].part} != part) {
      finished.insert(part);
      EXPECT_NE(table[i].lost, "") << table[i].name;
    }
  }
}

TEST(Features, AreTakenAwayByNameAndUnknownNamesAreRefused) {
  for (std::size_t i = 0; i < kFeatures; ++i) {
    Features features;
    const std::vector<std::string> names{std::string(to_string(static_cast<Feature>(i)))};
    ASSERT_TRUE(disable(features, names, "--no-feature"));
    EXPECT_EQ(features[i], "taken away by --no-feature " + names[0]);
  }
  Features features;
  const std::vector<std::string> wrong{"btf"};
  const Result<void> refused = disable(features, wrong, "hooks.disable:");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("hooks.disable: btf: there is no such feature"));
  EXPECT_THAT(refused.error().message, testing::HasSubstr("rdonly_cast"));
}

}  // namespace
}  // namespace keytrail::warden
