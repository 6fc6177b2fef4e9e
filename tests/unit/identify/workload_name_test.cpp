// SPDX-License-Identifier: Apache-2.0
// The shown name by facts, and the order in which facts count.
#include <gtest/gtest.h>

#include "agent/base/workload_facts.h"

namespace keytrail::base {
namespace {

using enum KnownBy;

struct NameCase {
  WorkloadKind kind;
  std::vector<Fact> facts;
  const char* name;
  KnownBy known_by;
};

const std::string kId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(ShownName, IsMadeFromTheFactsOfEachKind) {
  const Fact uid{fact::kPodUid, "11111111-2222-3333-4444-555555555555", kKernel};
  const Fact container{fact::kContainerId, kId, kKernel};
  const auto pod = [&](std::vector<Fact> more) {
    more.insert(more.end(),
                {uid, container, {fact::kNamespace, "shop", kRuntime}, {fact::kPodName, "api-1", kRuntime}});
    return more;
  };
  const NameCase cases[] = {
      {WorkloadKind::kPod, {uid, container}, "pod: 11111111-2222-3333-4444-555555555555/0123456789ab", kKernel},
      {WorkloadKind::kPod, {uid}, "pod: 11111111-2222-3333-4444-555555555555", kKernel},
      {WorkloadKind::kPod,
       {uid, container, {fact::kNamespace, "shop", kToken}, {fact::kPodName, "api-1", kToken}},
       "shop/api-1",
       kToken},
      {WorkloadKind::kPod,
       {uid, {fact::kNamespace, "shop", kToken}},
       "pod: 11111111-2222-3333-4444-555555555555",
       kKernel},
      {WorkloadKind::kPod,
       {uid,
        {fact::kNamespace, "shop", kCluster},
        {fact::kPodName, "api-1", kToken},
        {fact::kCiJob, "a/b #1", kClaimed}},
       "shop/api-1",
       kToken},
      {WorkloadKind::kPod, pod({{fact::kDeployment, "api", kCluster}, {fact::kReplicaSet, "api-6d4f", kCluster}}),
       "shop/deploy/api", kCluster},
      {WorkloadKind::kPod, pod({{fact::kStatefulSet, "db", kCluster}}), "shop/sts/db", kCluster},
      {WorkloadKind::kPod, pod({{fact::kDaemonSet, "agent", kCluster}}), "shop/ds/agent", kCluster},
      {WorkloadKind::kPod, pod({{fact::kCronJob, "night", kCluster}, {fact::kJob, "night-281", kCluster}}),
       "shop/cronjob/night", kCluster},
      {WorkloadKind::kPod, pod({{fact::kJob, "migrate", kCluster}}), "shop/job/migrate", kCluster},
      {WorkloadKind::kPod, pod({{fact::kReplicaSet, "bare", kCluster}}), "shop/api-1", kRuntime},
      {WorkloadKind::kPod, pod({{fact::kOuterContainer, kId, kKernel}}), "shop/api-1 in container 0123456789ab",
       kRuntime},
      {WorkloadKind::kPod,
       {uid, container, {fact::kOuterContainer, "ci", kKernel}},
       "pod: 11111111-2222-3333-4444-555555555555/0123456789ab in container ci",
       kKernel},
      {WorkloadKind::kContainer,
       {container,
        {fact::kContainerName, "web", kRuntime},
        {fact::kImageName, "docker.io/library/nginx:1.25", kRuntime}},
       "container: web (nginx:1.25)",
       kRuntime},
      {WorkloadKind::kContainer,
       {container, {fact::kImageName, "r.test:5000/web@sha256:0011", kRuntime}, {fact::kOuterContainer, "ci", kKernel}},
       "container: 0123456789ab (web) in container ci",
       kRuntime},
      {WorkloadKind::kSystemdUnit,
       {{fact::kUnit, "web.service", kKernel}, {fact::kContainerId, kId, kClaimed}},
       "web.service",
       kKernel},
      {WorkloadKind::kContainer, {container}, "container: 0123456789ab", kKernel},
      {WorkloadKind::kContainer, {{fact::kContainerId, "web1", kKernel}}, "container: web1", kKernel},
      {WorkloadKind::kContainer, {container, {fact::kContainerName, "redis", kRuntime}}, "container: redis", kRuntime},
      {WorkloadKind::kContainer,
       {container, {fact::kNamespace, "shop", kToken}, {fact::kPodName, "api-1", kToken}},
       "shop/api-1",
       kToken},
      {WorkloadKind::kSystemdUnit, {{fact::kUnit, "backup.service", kKernel}}, "backup.service", kKernel},
      {WorkloadKind::kSystemdUnit,
       {{fact::kUnit, "sync.service", kClaimed}, {fact::kUnitOwner, "alice", kKernel}},
       "alice/sync.service",
       kClaimed},
      {WorkloadKind::kLoginSession, {{fact::kPerson, "alice", kKernel}}, "person: alice", kKernel},
      {WorkloadKind::kCiJob,
       {{fact::kCiJob, "acme/shop deploy #4412", kClaimed}},
       "ci: acme/shop deploy #4412",
       kClaimed},
      {WorkloadKind::kHost, {{fact::kProgram, "cron", kKernel}}, "host: cron", kKernel},
      {WorkloadKind::kHost, {{fact::kProgram, "kubelet", kClaimed}}, "host: kubelet", kClaimed},
  };
  for (const NameCase& one : cases) {
    std::vector<Fact> facts;
    for (const Fact& fact : one.facts)
      ASSERT_EQ(join_fact(facts, fact), Joined::kNew);
    const ShownName shown = shown_name(one.kind, facts);
    EXPECT_EQ(shown.text, one.name);
    EXPECT_EQ(shown.known_by, one.known_by) << one.name;
  }
}

TEST(ShownName, OfTwoThatContradictTheMoreTrustedCountsAndBothAreKept) {
  std::vector<Fact> facts;
  for (const KnownBy known_by : {kClaimed, kToken, kCluster, kRuntime, kKernel}) {
    ASSERT_EQ(join_fact(facts, {fact::kPodName, std::string("by-") + to_string(known_by), known_by}), Joined::kNew);
    const std::vector<Fact> all = [&] {
      auto copy = facts;
      EXPECT_EQ(join_fact(copy, {fact::kNamespace, "n", kKernel}), Joined::kNew);
      return copy;
    }();
    EXPECT_EQ(shown_name(WorkloadKind::kPod, all).text, std::string("n/by-") + to_string(known_by));
  }
  EXPECT_EQ(facts.size(), 5U);
}

TEST(ShownName, AnotherValueKnownInTheSameWayTakesThePlace) {
  std::vector<Fact> facts;
  EXPECT_EQ(join_fact(facts, {"a", "1", kToken}), Joined::kNew);
  EXPECT_EQ(join_fact(facts, {"a", "1", kToken}), Joined::kKnown);
  EXPECT_EQ(join_fact(facts, {"a", "2", kToken}), Joined::kNew);
  ASSERT_EQ(facts.size(), 1U);
  EXPECT_EQ(facts[0].value, "2");
  EXPECT_EQ(join_fact(facts, {"", "2", kToken}), Joined::kRefused);
  EXPECT_EQ(join_fact(facts, {"a", "", kToken}), Joined::kRefused);
}

TEST(ServiceName, IsTheFirstOfTheConventionForKubernetes) {
  std::vector<Fact> facts;
  EXPECT_FALSE(service_name(facts));
  const std::string label = fact::kPodLabel;
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, const char*>>{{fact::kK8sContainer, "web"},
                                                        {fact::kPodName, "api-6d4f-x"},
                                                        {fact::kJob, "j"},
                                                        {fact::kCronJob, "cj"},
                                                        {fact::kDaemonSet, "ds"},
                                                        {fact::kStatefulSet, "sts"},
                                                        {fact::kReplicaSet, "rs"},
                                                        {fact::kDeployment, "api"},
                                                        {label + "app.kubernetes.io/name", "shop"},
                                                        {label + "app.kubernetes.io/instance", "shop-eu"},
                                                        {fact::kServiceName, "checkout"}}) {
    ASSERT_EQ(join_fact(facts, {name, value, kCluster}), Joined::kNew);
    ASSERT_TRUE(service_name(facts)) << name;
    EXPECT_EQ(service_name(facts)->value, value);
  }
}

TEST(ServiceName, WhatItCallsItselfCountsLast) {
  std::vector<Fact> facts{{fact::kServiceName, "shop", KnownBy::kClaimed}};
  EXPECT_EQ(service_name(facts)->value, "shop");
  ASSERT_EQ(join_fact(facts, {fact::kPodName, "api-1", kCluster}), Joined::kNew);
  EXPECT_EQ(service_name(facts)->value, "api-1");
  ASSERT_EQ(join_fact(facts, {fact::kServiceName, "checkout", kCluster}), Joined::kNew);
  EXPECT_EQ(service_name(facts)->value, "checkout");
}

TEST(ServiceIdentity, FollowsTheConventionForKubernetes) {
  std::vector<Fact> facts;
  const auto learn = [&](std::string name, const char* value) {
    EXPECT_EQ(join_fact(facts, {std::move(name), value, kCluster}), Joined::kNew);
    return service_identity(facts);
  };
  EXPECT_EQ(learn(fact::kImageName, "reg:5000/api:1.2").version, "1.2");
  EXPECT_EQ(learn(fact::kImageDigest, "reg:5000/api@sha256:aa").version, "1.2@sha256:aa");
  EXPECT_EQ(learn(std::string(fact::kPodLabel) + "app.kubernetes.io/version", "1.3").version, "1.3");
  EXPECT_EQ(learn(fact::kServiceVersion, "1.4").version, "1.4");
  EXPECT_EQ(learn(fact::kNamespace, "payments").name_space, "payments");
  EXPECT_EQ(learn(fact::kServiceNamespace, "shop").name_space, "shop");
  EXPECT_EQ(learn(fact::kPodName, "api-1").instance, "") << "not without the container";
  EXPECT_EQ(learn(fact::kK8sContainer, "web").instance, "payments.api-1.web");
  EXPECT_EQ(learn(fact::kServiceInstance, "one").instance, "one");
  EXPECT_EQ(service_identity(std::vector<Fact>{{fact::kImageName, "a@sha256:bb"}}).version, "sha256:bb");
}

TEST(ShownName, OnlyAPodIsAboveOthers) {
  EXPECT_EQ(parent_id("pod:u/c"), "pod:u");
  EXPECT_EQ(parent_id("pod:u"), "");
  EXPECT_EQ(parent_id("pod:u/outer/c"), "") << "another container's word";
  EXPECT_EQ(parent_id("unit:1000/a.service"), "");
}

}  // namespace
}  // namespace keytrail::base
