// SPDX-License-Identifier: Apache-2.0
// Whose a pod is, and who says so.
#include <gmock/gmock.h>

#include <functional>

#include "agent/identify/kube_owners.h"
#include "tests/unit/identify/kube_source_fixture.h"

namespace keytrail::identify {
namespace {

using ::testing::HasSubstr;

const std::string kOwner = "11111111-0000-4000-8000-000000000000";

std::string owned_pod(int n, const std::string& name = "web-5f6", const std::string& uid = kOwner) {
  std::string out = pod(n, "5");
  const std::string owner =
      R"("labels":{"pod-template-hash":"5f6"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet",)"
      R"("name":")" +
      name + R"(","uid":")" + uid + R"(","controller":true}],)";
  return out.insert(out.find(R"("annotations")"), owner);
}

std::string pod_of(const std::string& kind, int n) {
  std::string out = pod(n, "5");
  const std::string owner = R"("ownerReferences":[{"apiVersion":")" + std::string(kind == "Job" ? "batch" : "apps") +
                            R"(/v1","kind":")" + kind + R"(","name":"x","uid":")" + kOwner +
                            R"(","controller":true}],)";
  return out.insert(out.find(R"("annotations")"), owner);
}

// Whoever makes a pod writes whose it is: each owner is asked for, whatever its kind.
TEST_F(KubeSourceTest, AnOwnerThatIsNotThereIsClaimedOnly) {
  ScriptedServer server([](const Peer& peer, const std::string& request) {
    if (request.contains("/daemonsets/")) {
      peer.answer(404, R"({"message": "daemonsets.apps \"x\" not found"})");
    } else if (request.contains("/namespaces/")) {
      peer.answer(200, R"({"metadata":{"uid":")" + (request.contains("/jobs/") ? uid(7) : kOwner) + R"("}})");
    } else {
      peer.begin_stream();
      peer.piece(event("ADDED", pod_of("StatefulSet", 1)) + event("ADDED", pod_of("DaemonSet", 2)) +
                 event("ADDED", pod_of("Job", 3)) + bookmark("9", true));
      peer.wait_for_end();
      return false;
    }
    return true;
  });
  start(server);
  EXPECT_EQ(posts.value(id(1), fact::kStatefulSet), "x");
  EXPECT_EQ(posts.known_by(id(1), fact::kStatefulSet), KnownBy::kCluster);
  EXPECT_EQ(posts.value(id(2), fact::kDaemonSet), "x");
  EXPECT_EQ(posts.known_by(id(2), fact::kDaemonSet), KnownBy::kClaimed);
  EXPECT_EQ(posts.value(id(3), fact::kJob), "x");
  EXPECT_EQ(posts.known_by(id(3), fact::kJob), KnownBy::kClaimed);
}

TEST_F(KubeSourceTest, WhatAnOwnerIsIsAskedAgainWhenTheServerAnswers) {
  std::atomic<bool> answers = false;
  ScriptedServer server([&](const Peer& peer, const std::string& request) {
    if (request.contains("/statefulsets/")) {
      peer.answer(answers ? 200 : 503, answers ? R"({"metadata":{"uid":")" + kOwner + R"("}})" : std::string("{}"));
      return true;
    }
    peer.begin_stream();
    peer.piece(event("ADDED", pod_of("StatefulSet", 1)) + bookmark("9", true));
    for (int i = 0; i < 30 && !answers; ++i) {
      std::this_thread::sleep_for(milliseconds(20));
      answers = i > 10;
    }
    std::this_thread::sleep_for(milliseconds(150));
    peer.piece(bookmark("10"));
    peer.wait_for_end();
    return false;
  });
  start(server);
  EXPECT_TRUE(wait_for([&] { return posts.known_by(id(1), fact::kStatefulSet) == KnownBy::kCluster; }));
  EXPECT_EQ(source->counters()["kubernetes_lists"], 1U);
}

/// A watch that gives these pods and then bookmarks, so long as `goes_on`.
void watch_with_bookmarks(const Peer& peer, const std::string& pods, const std::function<bool()>& goes_on) {
  peer.begin_stream();
  bool there = peer.piece(pods + bookmark("9", true));
  for (int version = 10; there && goes_on(); ++version) {
    std::this_thread::sleep_for(milliseconds(20));
    there = peer.piece(bookmark(std::to_string(version)));
  }
  if (there) peer.wait_for_end();
}

TEST_F(KubeSourceTest, WhileTheServerFailsItIsAskedLessAndLessAndNothingIsListed) {
  std::atomic<int> asked = 0;
  std::atomic<bool> answers = false;
  ScriptedServer server([&](const Peer& peer, const std::string& request) {
    if (request.contains("/statefulsets/")) {
      if (!answers) ++asked;
      peer.answer(answers ? 200 : 503, answers ? R"({"metadata":{"uid":")" + kOwner + R"("}})" : std::string("{}"));
      return true;
    }
    std::string pods;
    for (int n = 1; n <= 5; ++n)
      pods += event("ADDED", pod_of("StatefulSet", n));
    const auto begin = Clock::now();
    watch_with_bookmarks(peer, pods, [&] {
      answers = Clock::now() - begin > milliseconds(800);
      return posts.known_by(id(1), fact::kStatefulSet) != KnownBy::kCluster;
    });
    return false;
  });
  start(server);
  for (int n = 1; n <= 5; ++n)
    EXPECT_TRUE(wait_for([&] { return posts.known_by(id(n), fact::kStatefulSet) == KnownBy::kCluster; })) << n;
  EXPECT_LE(asked, 4) << "at once, after 100, 200 and 400 ms";
  EXPECT_EQ(source->counters()["kubernetes_lists"], 1U);
}

TEST_F(KubeSourceTest, OfManyThatWaitSomeAreAskedForWithEachEvent) {
  constexpr int kMany = 100, kATurn = 20;
  std::atomic<int> asked = 0, events = 0, too_many = 0;
  std::atomic<bool> answers = false;
  ScriptedServer server([&](const Peer& peer, const std::string& request) {
    if (request.contains("/replicasets/")) {
      if (answers && ++asked > kATurn * events) ++too_many;
      peer.answer(answers ? 200 : 503, R"({"metadata":{"uid":")" + kOwner + R"("}})");
      return true;
    }
    std::string pods;
    for (int n = 1; n <= kMany; ++n)
      pods += event("ADDED", owned_pod(n, "web-" + std::to_string(n)));
    peer.begin_stream();
    bool there = peer.piece(pods + bookmark("9", true));
    while (there && asked < kMany) {
      std::this_thread::sleep_for(milliseconds(50));
      if (!posts.has(id(kMany), fact::kReplicaSet)) continue;
      answers = true;
      there = peer.piece(bookmark(std::to_string(10 + ++events)));
    }
    if (there) peer.wait_for_end();
    return false;
  });
  start(server);
  for (int n = 1; n <= kMany; ++n)
    EXPECT_TRUE(wait_for([&] { return posts.known_by(id(n), fact::kReplicaSet) == KnownBy::kCluster; })) << n;
  EXPECT_EQ(too_many, 0) << "the watch is read between";
}

TEST_F(KubeSourceTest, OwnersOverTheBoundTakeTheRoomOfTheOldestAlone) {
  std::atomic<int> bad = 0, all = 0;
  ScriptedServer server([&](const Peer& peer, const std::string& request) {
    ++all;
    if (request.contains("/bad ")) ++bad;
    peer.answer(request.contains("/bad ") ? 500 : 200, R"({"metadata":{"uid":")" + kOwner + R"("}})");
    return true;
  });
  KubeOwners owners({.url = server.url(), .token_file = token_file, .ca_file = {}}, seconds(600), 3);
  const auto ask = [&](const std::string& name) {
    return owners.of("shop", {.kind = "ReplicaSet", .name = name, .uid = kOwner, .group = "apps"}).has_value();
  };
  for (int n = 0; n < 5; ++n) {
    EXPECT_FALSE(ask("bad"));
    EXPECT_TRUE(ask("web-" + std::to_string(n)));
  }
  EXPECT_EQ(bad, 1) << "it fails: nobody else's owner makes it be asked for before its time";
  EXPECT_TRUE(ask("web-3"));
  EXPECT_EQ(all, 6);
  EXPECT_EQ(owners.forgotten(), 3U);
  owners.cancel();
}

TEST_F(KubeSourceTest, AnObjectThatTheServerCannotGiveKeepsNobodyElseWaiting) {
  ScriptedServer server([&](const Peer& peer, const std::string& request) {
    if (request.contains("/namespaces/")) {
      const bool bad = request.contains("/statefulsets/");
      peer.answer(bad ? 500 : 200, R"({"metadata":{"uid":")" + kOwner + R"("}})");
      return true;
    }
    watch_with_bookmarks(peer, event("ADDED", pod_of("StatefulSet", 1)) + event("ADDED", pod_of("DaemonSet", 2)),
                         [] { return false; });
    return false;
  });
  start(server);
  EXPECT_EQ(posts.value(id(2), fact::kDaemonSet), "x");
  EXPECT_EQ(posts.known_by(id(2), fact::kDaemonSet), KnownBy::kCluster);
}

TEST_F(KubeSourceTest, ADeploymentThatTheClusterDoesNotKnowIsNotClaimedWhileItIsAsked) {
  std::atomic<bool> answers = false;
  ScriptedServer server([&](const Peer& peer, const std::string& request) {
    if (request.contains("/replicasets/")) {
      peer.answer(answers ? 200 : 503, R"({"metadata":{"uid":")" + kOwner + R"("}})");
      return true;
    }
    watch_with_bookmarks(peer, event("ADDED", owned_pod(1)), [&] {
      answers = posts.has(id(1), fact::kReplicaSet);
      return posts.known_by(id(1), fact::kReplicaSet) != KnownBy::kCluster;
    });
    return false;
  });
  start(server);
  EXPECT_TRUE(wait_for([&] { return posts.known_by(id(1), fact::kReplicaSet) == KnownBy::kCluster; }));
  EXPECT_FALSE(posts.has(id(1), fact::kDeployment));
  EXPECT_TRUE(posts.whole(id(1)).speaks_of(fact::kDeployment, KnownBy::kClaimed)) << "also of an earlier run";
}

TEST_F(KubeSourceTest, TheSameFactsArePostedAgainWhenTheyAreTheWhole) {
  std::atomic<bool> answers = false;
  ScriptedServer server([&](const Peer& peer, const std::string& request) {
    if (request.contains("/statefulsets/")) {
      peer.answer(answers ? 200 : 503, R"({"metadata":{"uid":")" + uid(7) + R"("}})");
      return true;
    }
    watch_with_bookmarks(peer, event("ADDED", pod_of("StatefulSet", 1)), [&] {
      answers = posts.count() == 1;
      return posts.count() < 2;
    });
    return false;
  });
  start(server);
  EXPECT_TRUE(wait_for([&] { return posts.count() == 2; }));
  EXPECT_EQ(posts.known_by(id(1), fact::kStatefulSet), KnownBy::kClaimed);
  EXPECT_TRUE(posts.whole(id(1)).speaks_of(fact::kStatefulSet, KnownBy::kCluster));
}

TEST_F(KubeSourceTest, OwnersAreAskedOnceEach) {
  ScriptedServer server([](const Peer& peer, const std::string& request) {
    if (request.contains("/replicasets/")) {
      peer.answer(200, R"({"metadata":{"uid":")" + kOwner +
                           R"(","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"shop",)"
                           R"("uid":"x","controller":true}]}})");
      return true;
    }
    peer.begin_stream();
    peer.piece(event("ADDED", owned_pod(1)) + event("ADDED", owned_pod(2)) + bookmark("9", true));
    peer.wait_for_end();
    return false;
  });
  start(server);
  EXPECT_EQ(posts.value(id(2), fact::kDeployment), "shop");
  ASSERT_EQ(server.requests().size(), 2U);
  EXPECT_EQ(server.requests()[1], "GET /apis/apps/v1/namespaces/shop/replicasets/web-5f6 HTTP/1.1");
}

TEST_F(KubeSourceTest, AnOwnerThatAPodsAuthorMadeUpIsNotBelieved) {
  ScriptedServer server([](const Peer& peer, const std::string& request) {
    if (request.contains("/replicasets/")) {
      peer.answer(200, R"({"metadata":{"uid":")" + (request.contains("/evil") ? uid(7) : kOwner) +
                           R"(","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"shop",)"
                           R"("uid":"x","controller":true}]}})");
      return true;
    }
    peer.begin_stream();
    // The uid of another one, no name at all, and the name with another uid.
    peer.piece(event("ADDED", owned_pod(1, "evil")) + event("ADDED", owned_pod(2, "..")) +
               event("ADDED", owned_pod(3, "web-5f6", uid(8))) + event("ADDED", owned_pod(4)) + bookmark("9", true));
    peer.wait_for_end();
    return false;
  });
  start(server);
  EXPECT_EQ(posts.value(id(4), fact::kDeployment), "shop");
  EXPECT_FALSE(posts.has(id(1), fact::kDeployment));
  EXPECT_FALSE(posts.has(id(2), fact::kDeployment));
  for (const int n : {1, 2, 3})
    EXPECT_EQ(posts.known_by(id(n), fact::kReplicaSet), KnownBy::kClaimed);
  EXPECT_EQ(posts.known_by(id(4), fact::kReplicaSet), KnownBy::kCluster);
  EXPECT_EQ(posts.value(id(3), fact::kDeployment), "web") << "by the rule of names, as claimed";
  EXPECT_EQ(server.requests().size(), 4U) << "the watch, evil, web-5f6 twice";
}

TEST_F(KubeSourceTest, WithoutTheRightToOwnersTheNamesRuleIsUsedAndSaid) {
  ScriptedServer server([](const Peer& peer, const std::string& request) {
    if (request.contains("/replicasets/")) {
      peer.answer(403, R"({"message": "replicasets.apps is forbidden"})");
      return true;
    }
    peer.begin_stream();
    peer.piece(bookmark("9", true) + event("ADDED", owned_pod(1)) + event("ADDED", owned_pod(2)));
    peer.wait_for_end();
    return false;
  });
  start(server);
  EXPECT_EQ(posts.value(id(2), fact::kDeployment), "web");
  EXPECT_TRUE(wait_for([&] { return !source->remark().empty(); }));
  EXPECT_THAT(source->remark(), HasSubstr("get replicasets (Helm: profile standard)"));
  EXPECT_EQ(server.requests().size(), 2U);  // and is not asked for each pod
}

}  // namespace
}  // namespace keytrail::identify
