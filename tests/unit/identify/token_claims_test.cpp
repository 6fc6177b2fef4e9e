// SPDX-License-Identifier: Apache-2.0
// Whose a token is, and what of it is believed.
#include <gtest/gtest.h>

#include "agent/identify/fact_queue.h"
#include "agent/identify/sources.h"

namespace keytrail::identify {
namespace {

constexpr char kUid[] = "11111111-2222-3333-4444-555555555555";
constexpr char kOwnPlace[] = "/run/secrets/kubernetes.io/serviceaccount/token";

struct NobodyAsked final : Examiner {
  void examine(ExamineRequest, std::function<void(ExamineAnswer)>) override { ADD_FAILURE() << "asked"; }
};

struct TokenClaimsTest : testing::Test {
  FactQueue queue;
  base::IdentityConfig config;
  NobodyAsked examiner;
  std::unique_ptr<IdentitySource> source = token_claims({config, examiner});
  const std::vector<Claim> claims{{fact::kNamespace, "shop"}, {fact::kPodName, "api-1"}, {fact::kPodUid, kUid}};

  void SetUp() override { source->start(queue); }
  static std::shared_ptr<const Workload> pod(const std::string& uid) {
    return std::make_shared<const Workload>(
        Workload{.id = "pod:" + uid + "/c",
                 .kind = WorkloadKind::kPod,
                 .facts = std::vector<Fact>{{fact::kPodUid, uid, KnownBy::kKernel}}});
  }
  static std::shared_ptr<const Workload> workload(const char* id, WorkloadKind kind) {
    return std::make_shared<const Workload>(Workload{.id = id, .kind = kind});
  }
  std::uint64_t count(const char* name) { return source->counters().at(name); }
};

TEST_F(TokenClaimsTest, OwnTokenTellsOfTheWholePod) {
  source->on_token({pod(kUid), "k8s.service_account_token", "/anywhere/token", claims});
  const auto posts = queue.take();
  ASSERT_EQ(posts.size(), 1U);
  EXPECT_EQ(posts[0].id, std::string("pod:") + kUid);
  EXPECT_EQ(posts[0].facts[0], (Fact{fact::kNamespace, "shop", KnownBy::kToken, 0}));
}

TEST_F(TokenClaimsTest, TokenOfAnotherPodNamesNobody) {
  source->on_token({pod("99999999-2222-3333-4444-555555555555"), "k8s.service_account_token", kOwnPlace, claims});
  EXPECT_TRUE(queue.take().empty());
  EXPECT_EQ(count("tokens_of_another_pod"), 1U);
}

TEST_F(TokenClaimsTest, ReaderOutsideOfPodsIsNotNamed) {
  source->on_token(
      {workload("unit:kubelet.service", WorkloadKind::kSystemdUnit), "k8s.service_account_token", kOwnPlace, claims});
  EXPECT_TRUE(queue.take().empty());
  EXPECT_EQ(count("tokens_outside_pods"), 1U);
}

TEST_F(TokenClaimsTest, WithoutAPodToCompareThePlaceDecides) {
  const std::vector<Claim> legacy{{fact::kNamespace, "shop"}, {fact::kServiceAccount, "api"}};
  source->on_token({pod(kUid), "k8s.legacy_service_account_token", "/etc/deployer/token", legacy});
  EXPECT_TRUE(queue.take().empty());
  EXPECT_EQ(count("tokens_unbound"), 1U);
  source->on_token({pod(kUid), "k8s.legacy_service_account_token", std::string("/var") + kOwnPlace, legacy});
  EXPECT_EQ(queue.take().size(), 1U);
  source->on_token({workload("container:c", WorkloadKind::kContainer), "k8s.service_account_token", kOwnPlace, claims});
  EXPECT_EQ(queue.take().at(0).id, "container:c");
}

TEST_F(TokenClaimsTest, TokenWithoutClaimsIsNothing) {
  source->on_token({pod(kUid), "oidc.id_token", kOwnPlace, {}});
  EXPECT_TRUE(queue.take().empty());
}

TEST(FactQueue, WhoIsToldOfVeryOftenTurnsAwayOnlyItself) {
  FactQueue queue(40);
  for (int i = 0; i < 100; ++i)
    queue.post({"pod:flood/" + std::to_string(i), {}});
  queue.post({"pod:victim/1", {}});
  queue.post({"unit:b", {}});
  const auto taken = queue.take();
  ASSERT_EQ(taken.size(), 12U) << "a pod alone, whatever containers it has: a quarter";
  EXPECT_EQ(taken[10].id, "pod:victim/1");
  EXPECT_EQ(taken[11].id, "unit:b");
  EXPECT_EQ(queue.dropped(), 90U);
  std::uint64_t told = 0;
  for (const auto& [id, count] : queue.take_dropped()) {
    EXPECT_TRUE(id.starts_with("pod:flood/")) << id;
    told += count;
  }
  EXPECT_EQ(told, 90U);
  EXPECT_TRUE(queue.take_dropped().empty());
  queue.post({"pod:flood/1", {}});
  EXPECT_EQ(queue.take().size(), 1U) << "what was taken has given its room back";
}

TEST(FactQueue, WhoCanWaitLosesNothing) {
  FactQueue queue(4);
  WorkloadFacts one{"pod:a", {{fact::kPodName, "1", KnownBy::kCluster}}}, two{"pod:a", {{fact::kPodName, "2"}}};
  EXPECT_TRUE(queue.offer(one));
  EXPECT_FALSE(queue.offer(two)) << "a quarter of it is one";
  EXPECT_EQ(two.facts.size(), 1U) << "untouched";
  EXPECT_EQ(queue.dropped(), 0U);
  EXPECT_EQ(queue.take().size(), 1U);
  EXPECT_TRUE(queue.offer(two));
  WorkloadFacts never{"pod:a", std::vector<Fact>(kMaxFacts + 1)};
  EXPECT_TRUE(queue.offer(never)) << "or it would wait for ever";
  EXPECT_EQ(queue.dropped(), 1U);
}

TEST(FactQueue, MoreFactsThanAWorkloadMayHaveAreDropped) {
  FactQueue queue;
  queue.post({"unit:a", std::vector<Fact>(kMaxFacts + 1)});
  EXPECT_EQ(queue.dropped(), 1U);
  EXPECT_EQ(queue.take_dropped().at("unit:a"), 1U);
}

TEST(Sources, AllCanBeMade) {
  const base::IdentityConfig config;
  NobodyAsked examiner;
  const auto sources = all_sources({config, examiner});
  EXPECT_FALSE(sources.empty());
  for (const auto& source : sources)
    EXPECT_TRUE(source);
}

}  // namespace
}  // namespace keytrail::identify
