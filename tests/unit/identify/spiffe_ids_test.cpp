// SPDX-License-Identifier: Apache-2.0
// Whose an SVID is, and when it names its reader.

#include <gtest/gtest.h>

#include "agent/identify/fact_queue.h"
#include "agent/identify/sources.h"

namespace keytrail::identify {
namespace {

constexpr char kPlace[] = "/run/spiffe/certs/svid.pem";
constexpr char kWeb[] = "spiffe://kt.test/web", kDb[] = "spiffe://kt.test/db";

struct SpiffeIds : testing::Test {
  struct NobodyAsked final : Examiner {
    void examine(ExamineRequest, std::function<void(ExamineAnswer)>) override { ADD_FAILURE() << "asked"; }
  };

  FactQueue queue;
  base::IdentityConfig config;
  NobodyAsked examiner;
  std::int64_t now_s = 1'700'000'000;  // the source's clock
  std::unique_ptr<IdentitySource> source =
      spiffe_ids({config, examiner, [this] { return now_s * 1'000'000'000 + 999'999'999; }});

  void SetUp() override { source->start(queue); }

  TokenTold told(const char* id, std::string key, std::string names, WorkloadKind kind = WorkloadKind::kPod) const {
    return {.workload = std::make_shared<const Workload>(Workload{.id = id, .kind = kind}),
            .key_kind = "spiffe.x509_svid",
            .place = kPlace,
            .claims = {{fact::kSpiffeId, std::move(names)}},
            .key_id = std::move(key),
            .issued_s = now_s - 10,
            .expires_s = now_s + 3600};
  }
  /// The id that is posted of the workload, or nothing.
  std::string said(const TokenTold& of) {
    source->on_token(of);
    const auto posts = queue.take();
    if (posts.empty()) return {};
    EXPECT_EQ(posts.size(), 1U);
    EXPECT_EQ(posts[0].id, of.workload->id);
    EXPECT_EQ(posts[0].facts.at(0).name, fact::kSpiffeId);
    EXPECT_EQ(posts[0].facts.at(0).known_by, KnownBy::kToken);
    return posts[0].facts.at(0).value;
  }
  std::uint64_t count(const char* name) { return source->counters().at(name); }
};

TEST_F(SpiffeIds, AnSvidNamesTheWorkloadThatReadsItsOwn) {
  EXPECT_EQ(said(told("pod:a/1", "k1", kWeb)), kWeb);
  EXPECT_EQ(said(told("unit:web.service", "k2", kWeb, WorkloadKind::kSystemdUnit)), kWeb) << "a replica";
  EXPECT_EQ(said(told("pod:a/1", "k3", kWeb)), kWeb) << "renewed";
  EXPECT_EQ(said(told("pod:a/2", "k1", kWeb)), kWeb) << "another container of the pod";
}

TEST_F(SpiffeIds, OneThatAnotherWorkloadHadBeforeIsNotItsOwn) {
  EXPECT_EQ(said(told("pod:a/1", "k1", kWeb)), kWeb);
  EXPECT_EQ(said(told("pod:thief/1", "k1", kWeb)), "");
  EXPECT_EQ(count("svids_of_others"), 1U);
}

TEST_F(SpiffeIds, SeveralAtOnceAreToldAndNoneWins) {
  EXPECT_EQ(said(told("pod:proxy/1", "k1", kWeb)), kWeb);
  EXPECT_EQ(said(told("pod:proxy/1", "k2", kDb)), "spiffe://kt.test/db spiffe://kt.test/web");
  EXPECT_EQ(said(told("pod:proxy/1", "k2", kDb)), "spiffe://kt.test/db spiffe://kt.test/web") << "read again";
}

TEST_F(SpiffeIds, WhoHasThoseOfOthersIsNotNamed) {
  TokenTold of = told("pod:envoy/1", "k1", kWeb);
  of.for_others = true;
  EXPECT_EQ(said(of), "");
  for (const char* place : {"/var/lib/kubelet/pods/1-2/volumes/x/svid.pem", "/proc/12/root/certs/svid.pem",
                            "/run/containerd/io.containerd.runtime.v2.task/k8s.io/c/rootfs/certs/svid.pem"}) {
    TokenTold from = told("unit:csi.service", "k2", kWeb, WorkloadKind::kSystemdUnit);
    from.place = place;
    EXPECT_EQ(said(from), "") << place;
  }
  EXPECT_EQ(count("svids_of_others"), 4U);
  EXPECT_EQ(said(told("user:1000", "k1", kWeb, WorkloadKind::kLoginSession)), "");
  EXPECT_EQ(said(told("host:openssl", "k1", kWeb, WorkloadKind::kHost)), "");
  EXPECT_EQ(count("svids_outside_workloads"), 2U);
}

TEST_F(SpiffeIds, OneThatIsNotValidNowNamesNobody) {
  TokenTold over = told("pod:a/1", "k1", kWeb);
  over.expires_s = now_s - 1;
  EXPECT_EQ(said(over), "");
  TokenTold never = told("pod:a/1", "k1", kWeb);
  never.expires_s = 0;
  EXPECT_EQ(said(never), "") << "it must say until when";
  TokenTold early = told("pod:a/1", "k1", kWeb);
  early.issued_s = now_s + 600;
  EXPECT_EQ(said(early), "");
  EXPECT_EQ(count("svids_not_valid"), 3U);
}

TEST_F(SpiffeIds, WhatEndedIsNoRival) {
  TokenTold old = told("pod:a/1", "k1", kDb);
  old.expires_s = now_s + 1;
  EXPECT_EQ(said(old), kDb);
  now_s = old.expires_s;
  EXPECT_EQ(said(told("pod:a/1", "k2", kWeb)), kWeb);
}

TEST_F(SpiffeIds, OneWorkloadsFloodIsBounded) {
  for (int i = 0; i < 40; ++i)
    (void)said(
        told("pod:flood/1", "k" + std::to_string(i), "spiffe://kt.test/" + std::string(100, 'a') + std::to_string(i)));
  EXPECT_EQ(count("svids_over_bound"), 24U);
  EXPECT_LE(said(told("pod:flood/1", "k39", "spiffe://kt.test/x")).size(), kMaxFactValue);
  EXPECT_EQ(said(told("pod:a/1", "k0", kWeb)), "") << "whose it is outlives what is told of the workload";
  EXPECT_EQ(said(told("pod:a/1", "own", kWeb)), kWeb);
}

TEST_F(SpiffeIds, WhoseOneIsStaysWhenAnyContainerOfThePodForgetsIt) {
  for (int i = 0; i < 17; ++i) {  // the first is given up
    (void)said(told("pod:a/1", "k" + std::to_string(i), kWeb));
    if (i == 0) EXPECT_EQ(said(told("pod:a/2", "k0", kWeb)), kWeb);
  }
  EXPECT_EQ(said(told("pod:thief/1", "k0", kWeb)), "");
  EXPECT_EQ(said(told("pod:a/2", "k0", kWeb)), kWeb);
  for (int i = 0; i < 4'200; ++i) {  // more workloads than are remembered
    const std::string n = std::to_string(i);
    (void)said(told(("pod:x" + n + "/1").c_str(), "x" + n, kDb));
  }
  EXPECT_EQ(said(told("pod:thief/1", "k0", kWeb)), "");
  EXPECT_EQ(count("svids_of_others"), 2U);
}

TEST_F(SpiffeIds, AKeyIsFreeWhenItsLastSvidEnded) {
  TokenTold first = told("pod:a/1", "k1", kWeb);
  first.expires_s = now_s + 1;
  EXPECT_EQ(said(first), kWeb);
  TokenTold renewed = first;
  renewed.expires_s = now_s + 2;
  EXPECT_EQ(said(renewed), kWeb);
  now_s = first.expires_s;
  EXPECT_EQ(said(told("pod:b/1", "k1", kWeb)), "") << "renewed for the same key";
  now_s = renewed.expires_s;
  EXPECT_EQ(said(told("pod:b/1", "k1", kWeb)), kWeb);
}

TEST_F(SpiffeIds, OneWorkloadsKeysLeaveRoomForThoseOfOthers) {
  for (int i = 0; i < 20'000; ++i)
    (void)said(told("pod:flood/1", "k" + std::to_string(i), kWeb));
  EXPECT_EQ(said(told("pod:flood/1", "more", kWeb)), "");
  EXPECT_EQ(said(told("pod:a/1", "own", kWeb)), kWeb);
}

TEST_F(SpiffeIds, OtherTokensAreNoneOfIts) {
  TokenTold pod = told("pod:a/1", "k1", kWeb);
  pod.claims = {{fact::kNamespace, "shop"}};
  EXPECT_EQ(said(pod), "");
  std::unique_ptr<IdentitySource> tokens = token_claims({config, examiner});
  tokens->start(queue);
  tokens->on_token(told("pod:a/1", "k1", kWeb));
  EXPECT_TRUE(queue.take().empty());
  for (const auto& [name, count] : tokens->counters())
    EXPECT_EQ(count, 0U) << name;
}

}  // namespace
}  // namespace keytrail::identify
