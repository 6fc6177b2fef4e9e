// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/kube_pods.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <optional>

namespace keytrail::identify {
namespace {

namespace json = boost::json;
using ::testing::Contains;
using ::testing::Pair;

constexpr char kUid[] = "5f2c1de4-0a3b-4c9e-9d57-6f1b7f6a2c11";
const std::string kApp(64, 'a');
const std::string kInit(64, 'b');
const std::string kDebug(64, 'c');
const std::string kEarlier(64, 'd');

/// As a kubelet with containerd and the API server 1.33 show a pod of a Deployment, without managedFields.
json::object web_pod() {
  return json::parse(R"({
    "metadata": {"name": "web-7d4b9c6f5d-x2x9k", "generateName": "web-7d4b9c6f5d-", "namespace": "shop",
      "uid": "5f2c1de4-0a3b-4c9e-9d57-6f1b7f6a2c11", "resourceVersion": "18402",
      "creationTimestamp": "2026-11-30T08:00:00Z",
      "labels": {"app": "web", "app.kubernetes.io/name": "storefront", "pod-template-hash": "7d4b9c6f5d",
                 "secret-of-nobody": "x"},
      "annotations": {"keytrail/team": "payments", "kubectl.kubernetes.io/restartedAt": "2026-11-29T10:00:00Z"},
      "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d4b9c6f5d",
        "uid": "0d3f7a12-8c1e-4d0a-b6b1-2f4d5c6e7a88", "controller": true, "blockOwnerDeletion": true}]},
    "spec": {"nodeName": "node-1", "serviceAccountName": "web", "serviceAccount": "web",
      "initContainers": [{"name": "migrate", "image": "registry.test/migrate:3"}],
      "containers": [{"name": "app", "image": "registry.test/web:1",
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}],
      "ephemeralContainers": [{"name": "debugger-x", "image": "busybox", "targetContainerName": "app"}]},
    "status": {"phase": "Running", "podIP": "10.244.1.7", "qosClass": "Burstable",
      "initContainerStatuses": [{"name": "migrate", "image": "registry.test/migrate:3",
        "imageID": "registry.test/migrate@sha256:1111111111111111111111111111111111111111111111111111111111111111",
        "containerID": "containerd://bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
        "state": {"terminated": {"exitCode": 0, "reason": "Completed",
          "containerID": "containerd://bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}}}],
      "containerStatuses": [{"name": "app", "ready": true, "restartCount": 1, "image": "sha256:9999",
        "imageID":
        "docker-pullable://registry.test/web@sha256:2222222222222222222222222222222222222222222222222222222222222222",
        "containerID": "containerd://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "state": {"running": {"startedAt": "2026-11-30T08:00:04Z"}},
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled",
          "containerID": "containerd://dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"}}}],
      "ephemeralContainerStatuses": [{"name": "debugger-x", "image": "docker.io/library/busybox:latest",
        "imageID": "docker.io/library/busybox@sha256:3333333333333333333333333333333333333333333333333333333333333333",
        "containerID": "cri-o://cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
        "state": {"running": {}}}]}
  })")
      .as_object();
}

const OwnerOf kNobodyKnows = [](std::string_view, const PodOwner&) -> OwnerAnswer {
  return std::unexpected(OwnerDoubt::kCannotAsk);
};
const OwnerOf kBorneOut = [](std::string_view, const PodOwner&) -> OwnerAnswer { return PodOwner(); };

struct Read {
  std::map<std::string, std::map<std::string, std::string>> values;  // by id, name
  std::map<std::string, KnownBy> known;                              // of the pod, by name
  PodLosses losses;
  std::optional<WorkloadFacts::Whole> whole;  // of the pod
};

Read read(const json::object& pod, const OwnerOf& owner_of = kNobodyKnows, const base::KubernetesConfig& config = {}) {
  Read out;
  const auto head = pod_head(pod);
  EXPECT_TRUE(head);
  if (!head) return out;
  for (const WorkloadFacts& facts : pod_facts(pod, *head, config, owner_of, out.losses)) {
    EXPECT_TRUE(!facts.whole || facts.id == head->id);
    if (facts.whole) out.whole = facts.whole;
    for (const Fact& one : facts.facts) {
      out.values[facts.id][one.name] = one.value;
      if (facts.id == head->id) out.known[one.name] = one.known_by;
      EXPECT_LE(one.name.size(), kMaxFactName);
      EXPECT_LE(one.value.size(), kMaxFactValue);
    }
  }
  return out;
}

TEST(KubePods, APodOfADeployment) {
  std::string asked;
  const Read got = read(web_pod(), [&](std::string_view name_space, const PodOwner& owner) {
    asked = std::string(name_space) + " " + owner.group + " " + owner.kind + " " + owner.name;
    return OwnerAnswer(PodOwner{.kind = "Deployment", .name = "web", .uid = "u", .group = "apps"});
  });
  EXPECT_TRUE(got.whole && got.whole->unsaid.empty());
  EXPECT_EQ(asked, "shop apps ReplicaSet web-7d4b9c6f5d");
  const std::map<std::string, std::string> pod = {{fact::kNamespace, "shop"},
                                                  {fact::kPodName, "web-7d4b9c6f5d-x2x9k"},
                                                  {fact::kNodeName, "node-1"},
                                                  {fact::kServiceAccount, "web"},
                                                  {fact::kReplicaSet, "web-7d4b9c6f5d"},
                                                  {fact::kDeployment, "web"},
                                                  {fact::kTeam, "payments"},
                                                  {"k8s.pod.label.app", "web"},
                                                  {"k8s.pod.label.app.kubernetes.io/name", "storefront"}};
  EXPECT_EQ(got.values.at(std::string("pod:") + kUid), pod);
  for (const auto& [name, known_by] : got.known)
    EXPECT_EQ(known_by, KnownBy::kCluster) << name;
}

TEST(KubePods, EachContainerThatRunsOrRan) {
  const Read got = read(web_pod());
  const std::string pod = std::string("pod:") + kUid + "/";
  const std::map<std::string, std::string> app = {
      {fact::kK8sContainer, "app"},
      {fact::kRuntime, "containerd"},
      {fact::kImageName, "registry.test/web:1"},  // the runtime only knew its digest
      {fact::kImageDigest, "registry.test/web@sha256:" + std::string(64, '2')}};
  EXPECT_EQ(got.values.at(pod + kApp), app);
  EXPECT_EQ(got.values.at(pod + kInit).at(fact::kK8sContainer), "migrate");
  EXPECT_EQ(got.values.at(pod + kDebug).at(fact::kRuntime), "cri-o");
  EXPECT_EQ(got.values.at(pod + kDebug).at(fact::kImageName), "docker.io/library/busybox:latest");
  // The one that was killed before: its name, not the image of the one that runs now.
  const std::map<std::string, std::string> earlier = {{fact::kK8sContainer, "app"}, {fact::kRuntime, "containerd"}};
  EXPECT_EQ(got.values.at(pod + kEarlier), earlier);
  EXPECT_EQ(got.values.size(), 5U);
}

TEST(KubePods, ARuleOfNamesIsMarkedAsClaimed) {
  const Read got = read(web_pod());
  EXPECT_THAT(got.values.at(std::string("pod:") + kUid), Contains(Pair(fact::kDeployment, "web")));
  EXPECT_EQ(got.known.at(fact::kDeployment), KnownBy::kClaimed);
  EXPECT_EQ(got.known.at(fact::kReplicaSet), KnownBy::kClaimed) << "the pod's author wrote it";
  EXPECT_EQ(got.known.at(fact::kPodName), KnownBy::kCluster);
}

TEST(KubePods, WhereNothingIsKnownOfTheOwnerNothingIsSaidOfOwnersAndTheRestIsTheWhole) {
  for (const OwnerDoubt doubt : {OwnerDoubt::kNotSo, OwnerDoubt::kCannotAsk, OwnerDoubt::kGone, OwnerDoubt::kUnknown}) {
    const bool unknown = doubt == OwnerDoubt::kGone || doubt == OwnerDoubt::kUnknown;
    const Read got =
        read(web_pod(), [&](std::string_view, const PodOwner&) -> OwnerAnswer { return std::unexpected(doubt); });
    ASSERT_TRUE(got.whole);
    for (const char* name : {fact::kReplicaSet, fact::kDeployment, fact::kCronJob})
      EXPECT_EQ(got.whole->speaks_of(name, KnownBy::kCluster), !unknown) << name;
    EXPECT_TRUE(got.whole->speaks_of("k8s.pod.label.app", KnownBy::kCluster));
    EXPECT_EQ(got.known.at(fact::kReplicaSet), KnownBy::kClaimed) << "what the author wrote";
    EXPECT_EQ(got.known.contains(fact::kDeployment), !unknown) << "the rule of names waits for an answer";
  }
}

TEST(KubePods, WhatIsKnownOfTheOwnerTakesBackWhatWasClaimed) {
  for (const json::object& pod : {web_pod(), json::object(json::parse(R"({"metadata": {"uid": )"
                                                                      R"("5f2c1de4-0a3b-4c9e-9d57-6f1b7f6a2c11"}})")
                                                              .as_object())}) {
    const Read got = read(pod, kBorneOut);
    ASSERT_TRUE(got.whole);
    EXPECT_TRUE(got.whole->speaks_of(fact::kDeployment, KnownBy::kClaimed));
    EXPECT_FALSE(got.known.contains(fact::kDeployment));
    EXPECT_FALSE(got.whole->speaks_of(fact::kCiJob, KnownBy::kClaimed)) << "a variable's word";
  }
}

TEST(KubePods, AReplicaSetOfNobodyOrOfAnotherKindHasNoDeployment) {
  for (const char* kind : {"", "Rollout"}) {
    const Read got = read(web_pod(), [&](std::string_view, const PodOwner&) {
      return OwnerAnswer(PodOwner{.kind = kind, .name = "web", .uid = {}, .group = "argoproj.io"});
    });
    EXPECT_EQ(got.known.at(fact::kReplicaSet), KnownBy::kCluster);
    EXPECT_FALSE(got.known.contains(fact::kDeployment)) << kind;
  }
}

json::object owned_by(std::string_view kind, std::string_view group, std::string_view name) {
  json::object pod = web_pod();
  json::object& owner = pod["metadata"].at("ownerReferences").at(0).as_object();
  owner["kind"] = kind;
  owner["apiVersion"] = std::string(group) + "/v1";
  owner["name"] = name;
  return pod;
}

TEST(KubePods, OtherOwners) {
  EXPECT_EQ(read(owned_by("StatefulSet", "apps", "db")).values.at(std::string("pod:") + kUid).at(fact::kStatefulSet),
            "db");
  EXPECT_EQ(read(owned_by("DaemonSet", "apps", "cni")).values.at(std::string("pod:") + kUid).at(fact::kDaemonSet),
            "cni");
  for (const auto& [kind, name] : {std::pair("StatefulSet", fact::kStatefulSet), {"DaemonSet", fact::kDaemonSet}}) {
    EXPECT_EQ(read(owned_by(kind, "apps", "x")).known.at(name), KnownBy::kClaimed);
    EXPECT_EQ(read(owned_by(kind, "apps", "x"), kBorneOut).known.at(name), KnownBy::kCluster);
  }
  EXPECT_EQ(read(owned_by("Job", "batch", "x"), kBorneOut).known.at(fact::kJob), KnownBy::kCluster);
  // 2026-11-30T08:00Z is minute 29933760.
  const Read job = read(owned_by("Job", "batch", "report-29933760"));
  EXPECT_THAT(job.values.at(std::string("pod:") + kUid), Contains(Pair(fact::kCronJob, "report")));
  EXPECT_EQ(job.known.at(fact::kCronJob), KnownBy::kClaimed);
  EXPECT_FALSE(read(owned_by("Job", "batch", "report-12345678")).known.contains(fact::kCronJob));
  EXPECT_FALSE(read(owned_by("Job", "batch", "report")).known.contains(fact::kCronJob));
  // The same word in another API is another thing.
  EXPECT_FALSE(read(owned_by("StatefulSet", "apps.kruise.io", "db")).known.contains(fact::kStatefulSet));
}

TEST(KubePods, TheRulesOfNames) {
  EXPECT_EQ(deployment_by_name("a-b-5f6", "5f6"), "a-b");
  EXPECT_EQ(deployment_by_name("a5f6", "5f6"), "");
  EXPECT_EQ(deployment_by_name("a-5f6", ""), "");
  EXPECT_EQ(deployment_by_name("5f6", "5f6"), "");
  EXPECT_EQ(cron_job_by_name("a-29933760", 29933760LL * 60 + 30), "a");
  EXPECT_EQ(cron_job_by_name("a-2993472", 29933760LL * 60), "");
  EXPECT_EQ(cron_job_by_name("a-2993472x", 29933760LL * 60), "");
  EXPECT_EQ(cron_job_by_name("a-29933760", 0), "");
}

// Its cgroup has the hash of the manifest; the mirror's own uid is nowhere on the node.
TEST(KubePods, AStaticPodIsItsManifestsHash) {
  json::object pod = web_pod();
  const std::string hash = "0123456789abcdef0123456789abcdef";
  pod["metadata"].as_object()["annotations"] = {{"kubernetes.io/config.hash", hash},
                                                {"kubernetes.io/config.mirror", hash}};
  const auto head = pod_head(pod);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->id, "pod:" + hash);
  EXPECT_EQ(head->uid, kUid);
  // An annotation is anybody's word: it never makes a pod another one.
  pod["metadata"].as_object()["annotations"] = {
      {"kubernetes.io/config.mirror", "11111111-2222-3333-4444-555555555555"}};
  EXPECT_EQ(pod_head(pod)->id, std::string("pod:") + kUid);
  pod["metadata"].as_object()["uid"] = hash;  // as the kubelet shows it
  EXPECT_EQ(pod_head(pod)->id, "pod:" + hash);
}

TEST(KubePods, WhatIsNoPodIsNone) {
  for (const char* text : {"{}", R"({"metadata": 7})", R"({"metadata": {"uid": "../../etc"}})",
                           R"({"metadata": {"uid": ["5f2c1de4-0a3b-4c9e-9d57-6f1b7f6a2c11"]}})",
                           R"({"metadata": {"uid": "5F2C1DE4-0A3B-4C9E-9D57-6F1B7F6A2C11"}})"})
    EXPECT_FALSE(pod_head(json::parse(text).as_object())) << text;
}

TEST(KubePods, TextsAreCleanedAndCut) {
  json::object pod = web_pod();
  json::object& meta = pod["metadata"].as_object();
  meta["annotations"] = {{"keytrail/team", "red\x1b[31m\nteam"},
                         {"resource.opentelemetry.io/service.name", std::string(511, 'x') + "\xc3\xa9\xc3\xa9"}};
  const Read got = read(pod);
  const auto& facts = got.values.at(std::string("pod:") + kUid);
  EXPECT_EQ(facts.at(fact::kTeam), "red\\x1b[31m\\x0ateam");
  EXPECT_EQ(facts.at(fact::kServiceName), std::string(511, 'x'));
  EXPECT_EQ(got.losses.texts_cut, 1U);
}

TEST(KubePods, OnlyTheLabelsThatAreAskedForAndFewContainers) {
  json::object pod = web_pod();
  json::object& labels = pod["metadata"].at("labels").as_object();
  for (int i = 0; i < 5'000; ++i)
    labels["flood-" + std::to_string(i)] = "x";
  json::array& statuses = pod["status"].at("containerStatuses").as_array();
  for (int i = 0; i < 1'000; ++i) {
    char id[65];
    std::snprintf(id, sizeof id, "%064d", i);
    statuses.push_back(json::object{{"name", "c"}, {"containerID", "containerd://" + std::string(id)}});
  }
  const Read got = read(pod);
  EXPECT_EQ(got.values.at(std::string("pod:") + kUid).size(), 9U);
  EXPECT_EQ(got.values.size(), 1 + kMaxPodContainers);
  EXPECT_GT(got.losses.containers_over, 800U);
}

TEST(KubePods, AnnotationsOfAServiceAreItsAttributesAndNoOthers) {
  json::object pod = web_pod();
  json::object& annotations = pod["metadata"].at("annotations").as_object();
  for (const char* name : {"service.namespace", "service.version", "service.instance.id", "deployment.environment.name",
                           "k8s.pod.name", "cloud.account.id", "keytrail.person"})
    annotations[std::string("resource.opentelemetry.io/") + name] = "told";
  const auto facts = read(pod).values.at(std::string("pod:") + kUid);
  for (const char* name : {fact::kServiceNamespace, fact::kServiceVersion, fact::kServiceInstance, fact::kEnvironment})
    EXPECT_EQ(facts.at(name), "told") << name;
  EXPECT_NE(facts.at(fact::kPodName), "told");
  EXPECT_FALSE(facts.contains(fact::kCloudAccount));
  EXPECT_FALSE(facts.contains(fact::kPerson));
}

TEST(KubePods, AServiceNameIsTheAnnotationsOnly) {
  json::object pod = web_pod();
  EXPECT_FALSE(read(pod).known.contains(fact::kServiceName)) << "what follows from other facts is not posted again";
  pod["metadata"].at("annotations").as_object()["resource.opentelemetry.io/service.name"] = "checkout";
  const Read got = read(pod);
  EXPECT_EQ(got.values.at(std::string("pod:") + kUid).at(fact::kServiceName), "checkout");
  EXPECT_EQ(got.known.at(fact::kServiceName), KnownBy::kCluster);
}

TEST(KubePods, ATaskOfTektonOrArgoIsThatPipelines) {
  const auto of = [](const json::object& labels) {
    json::object pod = web_pod();
    pod["metadata"].as_object()["labels"] = labels;
    Read got = read(pod);
    std::map<std::string, std::string> out;
    for (const char* name : {fact::kCiSystem, fact::kCiJob, fact::kCiPipeline, fact::kCiTask, fact::kCiRun}) {
      if (!got.known.contains(name)) continue;
      EXPECT_EQ(got.known.at(name), KnownBy::kCluster) << name;
      out[name] = got.values.at(std::string("pod:") + kUid).at(name);
    }
    return out;
  };
  using Facts = std::map<std::string, std::string>;
  EXPECT_EQ(of({{"tekton.dev/pipeline", "release"},
                {"tekton.dev/pipelineRun", "release-run-x7"},
                {"tekton.dev/pipelineTask", "push"},
                {"tekton.dev/task", "kaniko"}}),
            (Facts{{fact::kCiSystem, "tekton"},
                   {fact::kCiJob, "release push"},
                   {fact::kCiPipeline, "release"},
                   {fact::kCiTask, "push"},
                   {fact::kCiRun, "release-run-x7"}}));
  EXPECT_EQ(of({{"tekton.dev/task", "kaniko"}}),
            (Facts{{fact::kCiSystem, "tekton"}, {fact::kCiJob, "kaniko"}, {fact::kCiTask, "kaniko"}}));
  EXPECT_EQ(of({{"workflows.argoproj.io/workflow", "release-x7"}}),
            (Facts{{fact::kCiSystem, "argo"}, {fact::kCiRun, "release-x7"}}));
  EXPECT_EQ(of({{"tekton.dev/pipeline", "release"}}), Facts()) << "no pod of a task";
}

TEST(KubePods, ContainerIdsThatAreNoneAreLeftOut) {
  json::object pod = web_pod();
  json::object& status = pod["status"].at("containerStatuses").at(0).as_object();
  for (const char* id : {"", "containerd://", "containerd://../x", "aaaa", "containerd://AAAA"}) {
    status["containerID"] = id;
    status["lastState"] = nullptr;
    EXPECT_EQ(read(pod).values.size(), 3U) << id;
  }
}

}  // namespace
}  // namespace keytrail::identify
