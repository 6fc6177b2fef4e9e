// SPDX-License-Identifier: Apache-2.0
// What the source asks, what it posts, and what it says when it cannot.
#include "agent/identify/kube_source.h"

#include <gmock/gmock.h>

#include "tests/unit/identify/kube_source_fixture.h"

namespace keytrail::identify {
namespace {

using ::testing::HasSubstr;

TEST_F(KubeSourceTest, AWatchGivesTheListTooAndNothingIsListed) {
  ScriptedServer server([](const Peer& peer, const std::string&) {
    peer.begin_stream();
    peer.piece(event("ADDED", pod(1, "5")) + bookmark("9", true));
    peer.piece(event("ADDED", pod(2, "10")));
    peer.piece(event("ADDED", pod(3, "11", "node-2")));  // a server that lies
    peer.piece(event("DELETED", pod(1, "12")));
    peer.wait_for_end();
    return false;
  });
  start(server);
  EXPECT_EQ(posts.value(id(1), fact::kPodName), "p1");
  EXPECT_EQ(posts.value(id(2), fact::kTeam), "a");
  EXPECT_TRUE(wait_for([&] {
    auto counters = source->counters();
    return counters["kubernetes_pods"] == 1 && counters["kubernetes_pods_elsewhere"] == 1;
  }));
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_THAT(server.requests()[0], HasSubstr("/api/v1/pods?watch=true&fieldSelector=spec.nodeName%3Dnode-1&"));
  EXPECT_THAT(server.requests()[0], HasSubstr("sendInitialEvents=true&resourceVersionMatch=NotOlderThan"));
  EXPECT_EQ(source->remark(), "");
  const auto begin = Clock::now();
  source.reset();  // while the server is silent
  EXPECT_LT(Clock::now() - begin, seconds(2));
}

TEST_F(KubeSourceTest, AServerWithoutWatchListIsListedAndWatched) {
  ScriptedServer server([](const Peer& peer, const std::string& request) {
    if (request.contains("sendInitialEvents")) {
      peer.answer(422, R"({"message": "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch"})");
    } else if (request.contains("watch=true")) {
      peer.begin_stream();
      peer.piece(event("ADDED", pod(2, "31")));
      peer.wait_for_end();
      return false;
    } else {
      peer.answer(200, list("30", pod(1, "5")));
    }
    return true;
  });
  start(server);
  EXPECT_EQ(posts.value(id(2), fact::kPodName), "p2");
  EXPECT_EQ(posts.value(id(1), fact::kPodName), "p1");
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_THAT(requests[1], HasSubstr("fieldSelector=spec.nodeName%3Dnode-1&limit=50"));
  EXPECT_THAT(requests[2], HasSubstr("resourceVersion=30"));
}

TEST_F(KubeSourceTest, AServerThatIgnoresTheQuestionIsListedToo) {
  ScriptedServer server([](const Peer& peer, const std::string& request) {
    if (request.contains("watch=true")) {
      peer.begin_stream();
      peer.wait_for_end();
      return false;
    }
    peer.answer(200, list("30", pod(1, "5")));
    return true;
  });
  start(server, false, milliseconds(200));
  EXPECT_EQ(posts.value(id(1), fact::kPodName), "p1");
  EXPECT_TRUE(counted("kubernetes_lists", 1));
}

// Too old: everything again. What is not in it any more is forgotten, what did not change is not posted again.
TEST_F(KubeSourceTest, AfterA410EverythingIsAskedForAgain) {
  std::atomic<int> whole = 0;
  ScriptedServer server([&](const Peer& peer, const std::string&) {
    peer.begin_stream();
    if (++whole == 1) {
      peer.piece(event("ADDED", pod(1, "5")) + event("ADDED", pod(2, "6")) + bookmark("9", true));
      peer.piece(event("ERROR", R"({"kind":"Status","code":410,"reason":"Expired","message":"too old"})"));
      return false;
    }
    peer.piece(event("ADDED", pod(2, "6")) + event("ADDED", pod(3, "300", "node-1", "b")) + bookmark("301", true));
    peer.wait_for_end();
    return false;
  });
  start(server);
  EXPECT_EQ(posts.value(id(3), fact::kTeam), "b");
  EXPECT_TRUE(counted("kubernetes_lists", 2));
  EXPECT_TRUE(counted("kubernetes_pods", 2));
  EXPECT_EQ(posts.count(), 3U);
  EXPECT_EQ(source->remark(), "");
}

TEST_F(KubeSourceTest, AServerThatAlwaysSays410IsAskedSlowly) {
  ScriptedServer server([](const Peer& peer, const std::string& request) {
    if (request.contains("watch=true")) {
      peer.answer(410, R"({"message": "too old"})");
    } else {
      peer.answer(200, list("5", ""));
    }
    return true;
  });
  start(server);
  std::this_thread::sleep_for(milliseconds(1'000));
  EXPECT_LT(server.requests().size(), 12U);
  EXPECT_GT(source->counters()["kubernetes_errors"], 0U);
}

TEST_F(KubeSourceTest, AWatchThatWasCutGoesOnWhereItWas) {
  std::atomic<int> turn = 0;
  ScriptedServer server([&](const Peer& peer, const std::string&) {
    peer.begin_stream();
    switch (++turn) {
      case 1:
        peer.piece(bookmark("9", true) + event("ADDED", pod(1, "10")));
        return false;  // cut
      case 2:
        peer.piece(bookmark("44"));
        peer.end_stream();  // its time is over
        return true;
      default:
        peer.piece(event("ADDED", pod(2, "50")));
        peer.wait_for_end();
        return false;
    }
  });
  start(server);
  EXPECT_EQ(posts.value(id(2), fact::kPodName), "p2");
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_THAT(requests[1], HasSubstr("resourceVersion=10 "));
  EXPECT_THAT(requests[2], HasSubstr("resourceVersion=44 "));
  EXPECT_TRUE(counted("kubernetes_errors", 1));
  EXPECT_EQ(source->counters()["kubernetes_lists"], 1U);
  EXPECT_EQ(source->remark(), "");
}

TEST_F(KubeSourceTest, AMissingRightIsNamedWithWhatItCosts) {
  ScriptedServer server([](const Peer& peer, const std::string&) {
    peer.answer(403, R"({"message": "pods is forbidden: User \"system:serviceaccount:keytrail:agent\" cannot list"})");
    return true;
  });
  start(server);
  EXPECT_TRUE(wait_for([&] { return !source->remark().empty(); }));
  EXPECT_THAT(source->remark(), HasSubstr("names of new pods are not learnt"));
  EXPECT_THAT(source->remark(), HasSubstr("403 pods is forbidden"));
  EXPECT_THAT(source->remark(), HasSubstr("Helm: profile standard"));
}

TEST_F(KubeSourceTest, RetryAfterIsObeyed) {
  std::atomic<Clock::rep> first = 0;
  ScriptedServer server([&](const Peer& peer, const std::string&) {
    if (first == 0) {
      first = Clock::now().time_since_epoch().count();
      peer.answer(429, R"({"message": "too many requests"})", "Retry-After: 2\r\n");
      return true;
    }
    peer.begin_stream();
    peer.piece(event("ADDED", pod(1, "5")) + bookmark("9", true));
    peer.wait_for_end();
    return false;
  });
  start(server);
  EXPECT_EQ(posts.value(id(1), fact::kPodName), "p1");
  EXPECT_GE(Clock::now().time_since_epoch() - Clock::duration(first), seconds(2));
}

TEST_F(KubeSourceTest, WhereTheQueueIsFullItWaitsAndNothingIsLost) {
  ScriptedServer server([](const Peer& peer, const std::string&) {
    peer.begin_stream();
    peer.piece(event("ADDED", pod(1, "5")) + event("ADDED", pod(2, "6")) + bookmark("9", true));
    peer.wait_for_end();
    return false;
  });
  posts.fill(5);
  start(server);
  EXPECT_EQ(posts.value(id(1), fact::kPodName), "p1");
  EXPECT_EQ(posts.value(id(2), fact::kPodName), "p2");
  posts.fill(1'000'000);
  const auto begin = Clock::now();
  source.reset();
  EXPECT_LT(Clock::now() - begin, seconds(2));
}

TEST_F(KubeSourceTest, TheKubeletIsAskedAgainAndAgain) {
  std::atomic<int> turn = 0;
  ScriptedServer server([&](const Peer& peer, const std::string&) {
    peer.answer(200, list("", ++turn == 1 ? pod(1, "1") : pod(1, "1") + "," + pod(2, "2")));
    return true;
  });
  start(server, true);
  EXPECT_EQ(posts.value(id(2), fact::kPodName), "p2");
  EXPECT_TRUE(wait_for([&] { return server.requests().size() > 3; }));
  EXPECT_EQ(posts.count(), 2U);
  EXPECT_EQ(server.requests()[0], "GET /pods HTTP/1.1");
}

TEST_F(KubeSourceTest, AnnotationsThatClaimTheSameStaticPodDoNotTakeItOver) {
  ScriptedServer server([](const Peer& peer, const std::string&) {
    const auto mirror = [](int n, bool runs = true) {
      std::string out = pod(n, "5");
      out.insert(out.find(R"("keytrail/team")"),
                 R"("kubernetes.io/config.mirror":"0123456789abcdef0123456789abcdef",)");
      const std::string status = R"("status":{)";
      return runs ? out.insert(out.find(status) + status.size(), R"("containerStatuses":[{"containerID":"x://y"}])")
                  : out;
    };
    peer.begin_stream();
    peer.piece(event("ADDED", mirror(3, false)) + event("ADDED", mirror(1)) + event("ADDED", mirror(2)) +
               bookmark("9", true));
    peer.wait_for_end();
    return false;
  });
  start(server);
  EXPECT_EQ(posts.value("pod:0123456789abcdef0123456789abcdef", fact::kPodName), "p1");
  EXPECT_TRUE(counted("kubernetes_pods_contradicted", 1));
  EXPECT_EQ(posts.count(), 1U);
}

// ---- whom to ask

using Variables = std::map<std::string, std::string>;

Result<std::optional<KubeAccess>> access_of(const base::KubernetesConfig& config, const Variables& variables) {
  return kube_access(config, [&](const std::string& name) {
    const auto it = variables.find(name);
    return it == variables.end() ? std::nullopt : std::optional(it->second);
  });
}

const Variables kInCluster{
    {"KUBERNETES_SERVICE_HOST", "10.0.0.1"}, {"KUBERNETES_SERVICE_PORT", "6443"}, {"NODE_NAME", "node-1"}};

TEST_F(KubeSourceTest, AutomaticMeansInAClusterWithAToken) {
  base::KubernetesConfig config;
  config.token_file = token_file;
  EXPECT_FALSE(access_of(config, {})->has_value());
  const auto found = access_of(config, kInCluster);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->endpoint.url, "https://10.0.0.1:6443");
  EXPECT_EQ((*found)->node, "node-1");
  config.token_file += ".not";
  EXPECT_FALSE(access_of(config, kInCluster)->has_value());
  config.mode = "off";
  EXPECT_FALSE(access_of(config, kInCluster)->has_value());
}

TEST(KubeAccess, WhatIsMissingIsNamed) {
  base::KubernetesConfig config;
  config.mode = "api";
  EXPECT_THAT(access_of(config, {}).error().message, HasSubstr("KEYTRAIL_NODE_NAME"));
  EXPECT_THAT(access_of(config, {{"NODE_NAME", "n"}}).error().message, HasSubstr("api_server"));
  EXPECT_THAT(access_of(config, {{"NODE_NAME", "n,metadata.namespace=x"}}).error().message, HasSubstr("no name"));
  EXPECT_EQ((*access_of(config, {{"NODE_NAME", "n"}, {"KUBERNETES_SERVICE_HOST", "fd00::1"}}))->endpoint.url,
            "https://[fd00::1]:443");
  config.mode = "kubelet";
  config.node_name = "node-7";
  EXPECT_EQ((*access_of(config, kInCluster))->endpoint.url, "https://node-7:10250");
  config.kubelet = "https://127.0.0.1:10250";
  EXPECT_EQ((*access_of(config, {}))->endpoint.url, "https://127.0.0.1:10250");
}

TEST(KubeAccess, WithoutOneTheSourceSaysWhyAndAsksNobody) {
  Posts posts;
  const auto source = make_kube_source(fail(Error::Code::kInvalid, "the node's name is not known"), {});
  source->start(posts);
  EXPECT_EQ(source->remark(), "the node's name is not known");
}

}  // namespace
}  // namespace keytrail::identify
