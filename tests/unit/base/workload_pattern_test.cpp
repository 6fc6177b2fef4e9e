// SPDX-License-Identifier: Apache-2.0
// Each form by which people ask for a workload: what it means, what it does not, and what is no form at all.
#include "agent/base/workload_pattern.h"

#include <gtest/gtest.h>

#include "agent/base/workload_facts.h"

namespace keytrail::base {
namespace {

constexpr char kContainer[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

Workload made(std::string id, WorkloadKind kind, std::vector<Fact> facts) {
  std::vector<Fact> sorted;
  for (Fact& one : facts)
    EXPECT_NE(join_fact(sorted, std::move(one)), Joined::kRefused);
  const ShownName name = shown_name(kind, sorted);
  return {.id = std::move(id), .kind = kind, .name = name.text, .known_by = name.known_by, .facts = std::move(sorted)};
}

Workload api_pod() {
  return made("pod:u-1/" + std::string(kContainer), WorkloadKind::kPod,
              {{fact::kPodUid, "u-1", KnownBy::kKernel},
               {fact::kContainerId, kContainer, KnownBy::kKernel},
               {fact::kNamespace, "payments", KnownBy::kCluster},
               {fact::kPodName, "api-6d4f-x7", KnownBy::kCluster},
               {fact::kPodName, "forged", KnownBy::kClaimed},
               {fact::kReplicaSet, "api-6d4f", KnownBy::kCluster},
               {fact::kDeployment, "api", KnownBy::kCluster},
               {fact::kServiceAccount, "payer", KnownBy::kCluster},
               {fact::kK8sContainer, "main", KnownBy::kCluster},
               {fact::kTeam, "Money", KnownBy::kCluster},
               {fact::kSpiffeId, "spiffe://corp/payments/api", KnownBy::kToken},
               {fact::kCiJob, "acme/shop deploy", KnownBy::kClaimed},
               {fact::kImageName, "registry:5000/acme/api:1.2", KnownBy::kRuntime},
               {fact::kImageDigest, "registry:5000/acme/api@sha256:aa11", KnownBy::kRuntime}});
}

Workload unit(const char* name, const char* owner = "") {
  std::vector<Fact> facts = {{fact::kUnit, name, KnownBy::kKernel}};
  if (*owner != 0) facts.push_back({fact::kUnitOwner, owner, KnownBy::kKernel});
  return made(std::string("unit:") + name, WorkloadKind::kSystemdUnit, std::move(facts));
}

bool asks_for(std::string_view text, const Workload& workload) {
  const auto pattern = WorkloadPattern::parse(text);
  EXPECT_TRUE(pattern) << text;
  return pattern && pattern->matches(workload);
}

TEST(WorkloadPattern, APodIsAskedForByEachOfItsNames) {
  const Workload pod = api_pod();
  for (const std::string text : {"payments/api-6d4f-x7",
                                 "payments/api",
                                 "payments/api-6d4f",
                                 "pod/api-6d4f-x7",
                                 "pod/payments/api-6d4f-x7",
                                 "deploy/api",
                                 "deployment/payments/api",
                                 "payments/deploy/api",
                                 "rs/api-6d4f",
                                 "sa/payments/payer",
                                 "sa/payer",
                                 "payments/sa/payer",
                                 "container/main",
                                 "container/0123456789ab",
                                 "team/money",
                                 "spiffe://corp/payments/api",
                                 "ci/acme/shop",
                                 "ci/acme/shop deploy",
                                 "ci/acme/*",
                                 "image/api",
                                 "image/acme/api",
                                 "image/acme/api:1.2",
                                 "image/registry:5000/acme/api",
                                 "image/sha256:aa11",
                                 "image/registry:5000/acme/api@sha256:aa11",
                                 "image/ap*",
                                 "payments/*",
                                 "pod/payments/*",
                                 "pod/api-*",
                                 "*",
                                 "  Payments/API \t",
                                 "POD/API-6D4F-X7",
                                 "pod:u-1",
                                 "pod:u-1/*"}) {
    EXPECT_TRUE(asks_for(text, pod)) << text;
  }
  EXPECT_TRUE(asks_for("pod:u-1/" + std::string(kContainer), pod));
  EXPECT_TRUE(asks_for(pod.name, pod));
}

TEST(WorkloadPattern, WhatIsNearIsNotMeant) {
  const Workload pod = api_pod();
  for (const char* text : {"other/api",
                           "payments/ap",
                           "payment/*",
                           "api",
                           "pod/other/api-6d4f-x7",
                           "pod/forged",
                           "payments/forged",
                           "sts/api",
                           "deploy/other/api",
                           "sa/payments/api",
                           "unit/api",
                           "user/payer",
                           "ci/acme/sho",
                           "ci/shop",
                           "image/pi",
                           "image/api:1.3",
                           "image/sha256:aa1",
                           "container/0123",
                           "container/mai",
                           "team/mon",
                           "pod:u",
                           "job/api"}) {
    EXPECT_FALSE(asks_for(text, pod)) << text;
  }
}

TEST(WorkloadPattern, UnitsAndPersonsHaveTheirForms) {
  for (const char* text :
       {"backup.service", "unit/backup.service", "unit/backup", "unit/BACKUP", "unit:backup.service", "unit/back*"})
    EXPECT_TRUE(asks_for(text, unit("backup.service"))) << text;
  for (const char* text : {"unit/back", "unit/alice/backup", "backup", "unit/backup.timer"})
    EXPECT_FALSE(asks_for(text, unit("backup.service"))) << text;
  const Workload own = unit("sync.service", "alice");
  for (const char* text : {"alice/sync.service", "unit/alice/sync", "unit/sync", "unit/alice/sync.service"})
    EXPECT_TRUE(asks_for(text, own)) << text;
  EXPECT_FALSE(asks_for("unit/bob/sync", own));
  const Workload alice = made("user:1000", WorkloadKind::kLoginSession, {{fact::kPerson, "alice", KnownBy::kKernel}});
  for (const char* text : {"user/alice", "user/Alice", "person: alice", "user:1000"})
    EXPECT_TRUE(asks_for(text, alice)) << text;
  EXPECT_FALSE(asks_for("user/al", alice));
}

TEST(WorkloadPattern, AFormWithoutANameIsRefusedAndSaysWhatIsWanted) {
  for (const char* text : {"", " ", "pod/", "sa/payments/", "pod/a/b/c", "pod//x", "team/", "image/", "unit/a/b/c"}) {
    const auto pattern = WorkloadPattern::parse(text);
    ASSERT_FALSE(pattern) << text;
    EXPECT_EQ(pattern.error().code, Error::Code::kInvalid);
    EXPECT_TRUE(pattern.error().message.starts_with("workload: ")) << pattern.error().message;
  }
  EXPECT_NE(WorkloadPattern::parse("pod/a/b/c").error().message.find("pod/NAMESPACE/NAME"), std::string::npos);
}

// What is sorted out by one fact alone must never be less than what matches.
TEST(WorkloadPattern, NoWorkloadThatMatchesIsSortedOut) {
  const Workload pod = api_pod();
  for (const char* text : {"payments/api", "pod/payments/api-6d4f-x7", "payments/deploy/api", "image/acme/api",
                           "container/0123456789ab", "ci/acme/shop", "team/money", "payments/*"}) {
    const auto pattern = WorkloadPattern::parse(text);
    bool likely = pattern->matches_name(pod.name) || pattern->matches_name(pod.id);
    for (const Fact& one : pod.facts)
      likely = likely || pattern->may_match(one.name, one.value);
    EXPECT_TRUE(likely) << text;
  }
}

TEST(WorkloadPattern, WhatWasProbablyMeantIsSaidInTheFormThatWasTyped) {
  const Workload pod = api_pod();
  EXPECT_EQ(WorkloadPattern::parse("deploy/x")->texts_of(pod), std::vector<std::string>{"deploy/payments/api"});
  EXPECT_EQ(WorkloadPattern::parse("payments/x")->texts_of(pod), std::vector<std::string>{pod.name});
  EXPECT_TRUE(WorkloadPattern::parse("user/x")->texts_of(pod).empty());
}

TEST(ImageParts, ARegistrysPortIsNoTag) {
  const auto parts = [](std::string_view text) {
    const ImageParts image = image_parts(text);
    return std::string(image.name) + "|" + std::string(image.tag) + "|" + std::string(image.digest);
  };
  EXPECT_EQ(parts("nginx"), "nginx||");
  EXPECT_EQ(parts("nginx:1.25"), "nginx|1.25|");
  EXPECT_EQ(parts("registry:5000/nginx"), "registry:5000/nginx||");
  EXPECT_EQ(parts("registry:5000/a/nginx:1@sha256:aa"), "registry:5000/a/nginx|1|sha256:aa");
}

}  // namespace
}  // namespace keytrail::base
