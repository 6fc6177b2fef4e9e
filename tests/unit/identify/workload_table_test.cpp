// SPDX-License-Identifier: Apache-2.0
// Facts that are all that is known in one way: what they take back, and what the history is told.
#include "agent/identify/workload_table.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace keytrail::identify {
namespace {

using Whole = WorkloadFacts::Whole;
constexpr char kPod[] = "pod:0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";
const std::string kContainer = std::string(kPod) + "/" + std::string(64, 'c');

struct WorkloadTableTest : testing::Test {
  WorkloadTable table{64, [] { return 1000; }};

  void SetUp() override { (void)table.make(kContainer, WorkloadKind::kPod, {}, "x"); }
  void learn(std::vector<Fact> facts, std::optional<Whole> whole) {
    table.learn({.id = kPod, .facts = std::move(facts), .whole = std::move(whole)});
  }
  std::string value(const char* name) { return std::string(table.find(kContainer)->value(name)); }
};

TEST_F(WorkloadTableTest, WhatAWholeDoesNotSpeakOfStaysAndWhatNobodyClaimsAnyMoreGoes) {
  const Whole unanswered{.unsaid = {fact::kDeployment}}, answered{.nor_claimed = {fact::kDeployment}};
  learn({{fact::kTeam, "red", KnownBy::kCluster}, {fact::kDeployment, "web", KnownBy::kCluster}}, answered);
  learn({{fact::kServiceName, "s", KnownBy::kClaimed}}, std::nullopt);
  learn({}, unanswered);
  EXPECT_EQ(value(fact::kTeam), "");
  EXPECT_EQ(value(fact::kDeployment), "web");
  learn({{fact::kDeployment, "made-up", KnownBy::kClaimed}}, answered);
  EXPECT_EQ(value(fact::kDeployment), "made-up");
  learn({}, answered);
  EXPECT_EQ(value(fact::kDeployment), "");
  EXPECT_EQ(value(fact::kServiceName), "s") << "somebody else's word";
  const auto news = table.take_news();
  ASSERT_EQ(news.size(), 1U);
  EXPECT_EQ(std::ranges::count(news[0].facts, fact::kDeployment, &Fact::name), 0) << "claimed and denied in one turn";
}

TEST_F(WorkloadTableTest, ATurnsNewsSpeakOfAllThatAnyOfThemSpokeOf) {
  learn({}, Whole{.nor_claimed = {fact::kDeployment}});
  learn({{fact::kTeam, "red", KnownBy::kCluster}}, Whole{.unsaid = {fact::kDeployment}});
  const auto news = table.take_news();
  ASSERT_EQ(news.size(), 1U);
  ASSERT_TRUE(news[0].whole);
  EXPECT_TRUE(news[0].whole->speaks_of(fact::kDeployment, KnownBy::kCluster));
  EXPECT_TRUE(news[0].whole->speaks_of(fact::kDeployment, KnownBy::kClaimed));
  EXPECT_FALSE(news[0].whole->speaks_of(fact::kServiceName, KnownBy::kClaimed));
  EXPECT_EQ(news[0].facts.size(), 1U);
}

TEST_F(WorkloadTableTest, TheFirstThatIsTheWholeIsToldThoughNothingInItIsNew) {
  const std::vector<Fact> facts{{fact::kPodName, "p", KnownBy::kCluster}};
  learn(facts, Whole{.unsaid = {fact::kDeployment}});
  (void)table.take_news();
  learn(facts, Whole{.known_by = KnownBy::kCluster});
  const auto news = table.take_news();
  ASSERT_EQ(news.size(), 1U) << "the history may know a Deployment of it";
  EXPECT_TRUE(news[0].whole && news[0].whole->unsaid.empty());
  EXPECT_EQ(news[0].facts.size(), 1U);
  learn(facts, Whole{.known_by = KnownBy::kCluster});
  EXPECT_TRUE(table.take_news().empty());
}

}  // namespace
}  // namespace keytrail::identify
