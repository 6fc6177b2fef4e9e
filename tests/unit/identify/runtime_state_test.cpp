// SPDX-License-Identifier: Apache-2.0
// What the runtime's state says of containers; names that change: runtime_names_test.cpp.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/identify/node_users.h"
#include "agent/identify/runtime_cgroup.h"
#include "tests/unit/identify/runtime_state_fixture.h"

namespace keytrail::identify {
namespace {

TEST(RuntimeCgroup, TheColonFormIsAScopeInItsSlices) {
  EXPECT_EQ(directory_of_bundle(kRunc),
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podb0658d9e.slice/cri-containerd-" + kId +
                ".scope");
  EXPECT_EQ(directory_of_bundle("system.slice:docker:ab"), "/system.slice/docker-ab.scope");
  EXPECT_EQ(directory_of_bundle("machine.slice:libpod:ab"), "/machine.slice/libpod-ab.scope");
  EXPECT_EQ(directory_of_bundle(":docker:ab"), "/system.slice/docker-ab.scope");
  EXPECT_EQ(directory_of_bundle("-.slice:docker:ab"), "/docker-ab.scope");
  EXPECT_EQ(directory_of_bundle("/k8s.io/c1"), "/k8s.io/c1");
  for (const char* bad : {"", "docker/ab", "a:b", "a--b.slice:x:y", "-a.slice:x:y", "a/b.slice:x:y",
                          "a.slice:x:", "a.slice:x:y/z", "plain:x:y"})
    EXPECT_EQ(directory_of_bundle(bad), "") << bad;
}

TEST(RuntimeCgroup, IsTheDirectoryOrBelowItAndNowhereElse) {
  EXPECT_TRUE(is_in_bundle(kDirectory, kDirectory, kId));
  EXPECT_TRUE(is_in_bundle(kDirectory + "/init.scope", kDirectory, kId));
  EXPECT_FALSE(is_in_bundle("/kubepods/podx/y" + kDirectory, kDirectory, kId)) << "a directory made in another's";
  EXPECT_FALSE(is_in_bundle(kDirectory + "x", kDirectory, kId));
  EXPECT_FALSE(is_in_bundle("/", "/", kId));
  EXPECT_FALSE(is_in_bundle("/a/b", "/a", kId)) << "the directory names another";
  EXPECT_TRUE(is_in_bundle(directory_of_bundle(kRunc) + "/container", kRunc, kId));
  EXPECT_TRUE(is_in_bundle("/system.slice/containerd.service/" + kRunc, kRunc, kId)) << "runc without systemd";
  EXPECT_FALSE(is_in_bundle("/user.slice/containerd.service/" + kRunc, kRunc, kId));
  EXPECT_FALSE(is_in_bundle("/system.slice/a.service/b/" + kRunc, kRunc, kId));
  const std::string parent = "blue/" + kId;  // docker run --cgroup-parent blue
  EXPECT_TRUE(is_in_bundle("/" + parent, parent, kId)) << "no systemd, so the root's";
  EXPECT_TRUE(is_in_bundle("/system.slice/containerd.service/" + parent, parent, kId));
  EXPECT_FALSE(is_in_bundle("/jobs/" + parent, parent, kId));
}

TEST_F(RuntimeStateTest, APodsNamesAreThePodsAndTheRestTheContainers) {
  source->on_workload(pod());
  EXPECT_EQ(examiner.question().container, kId);
  EXPECT_EQ(examiner.question().format, bundle::kOci);
  examiner.answer({}, {{fact::kCgroup, kDirectory},
                       {fact::kRuntime, "containerd"},
                       {fact::kNamespace, kShop},
                       {fact::kPodName, "web-1"},
                       {fact::kPodUid, kPod},
                       {fact::kK8sContainer, "app"}});
  const std::string whole = "pod:" + kPod + " ", own = "pod:" + kPod + "/" + kId + " ";
  EXPECT_EQ(posted(), (Posted{{whole + fact::kNamespace, "shop runtime"},
                              {whole + fact::kPodName, "web-1 runtime"},
                              {whole + fact::kPodUid, kPod + " runtime"},
                              {own + fact::kRuntime, "containerd runtime"},
                              {own + fact::kK8sContainer, "app runtime"},
                              {own + fact::kContainerId, kId + " runtime"}}));
  EXPECT_EQ(count("runtime_containers_known"), 1U);
  EXPECT_TRUE(examiner.waiting.empty());
}

TEST_F(RuntimeStateTest, OfAContainerWithoutAPodInItsPathAllIsItsOwn) {
  source->on_workload(container("c1", "/k8s.io/c1"));
  examiner.answer({}, {{fact::kCgroup, "/k8s.io/c1"}, {fact::kNamespace, kShop}, {fact::kPodName, "web-1"}});
  const auto all = posted();
  EXPECT_EQ(all.at(std::string("container:c1 ") + fact::kNamespace), "shop runtime");
  EXPECT_EQ(all.at(std::string("container:c1 ") + fact::kPodName), "web-1 runtime");
}

TEST_F(RuntimeStateTest, AClaimedNameIsBorneOut) {
  source->on_workload(pod(kDirectory, KnownBy::kClaimed));
  examiner.answer({}, {{fact::kCgroup, kDirectory}, {fact::kPodUid, kPod}});
  const auto all = posted();
  EXPECT_EQ(all.at("pod:" + kPod + "/" + kId + " " + fact::kContainerId), kId + " runtime");
  EXPECT_EQ(all.at("pod:" + kPod + " " + fact::kPodUid), kPod + " runtime");
}

TEST_F(RuntimeStateTest, AForgedCgroupNameIsNotBelieved) {
  for (const std::string& cgroup : {"/kubepods/pod1/x" + kDirectory, std::string("/jobs/") + kId, std::string()}) {
    source->on_workload(pod(cgroup));
    examiner.answer({}, {{fact::kCgroup, kDirectory}, {fact::kNamespace, kShop}, {fact::kPodName, "victim"}});
    EXPECT_EQ(posted(), (Posted{{"pod:" + kPod + "/" + kId + " " + fact::kRuntimeUnknown,
                                 "the runtime has this container in another cgroup runtime"}}))
        << cgroup;
  }
  source->on_workload(pod());
  examiner.answer({}, {{fact::kCgroup, kDirectory}, {fact::kPodUid, "another"}, {fact::kPodName, "victim"}});
  EXPECT_EQ(posted().size(), 1U) << "of another pod";
  EXPECT_EQ(count("runtime_cgroup_disagrees"), 4U);
  EXPECT_EQ(count("runtime_containers_known"), 0U);
}

TEST_F(RuntimeStateTest, WhatIsNotThereYetIsAskedForAgainAndThenSaid) {
  source->on_turn(1);
  source->on_workload(pod());
  for (const std::uint64_t wait : {200U, 1000U, 5000U}) {
    examiner.answer("gone");
    source->on_turn(now + (wait - 1) * kMs);
    EXPECT_TRUE(examiner.waiting.empty()) << wait;
    EXPECT_TRUE(posted().empty());
    now += wait * kMs;
    source->on_turn(now);
    ASSERT_EQ(examiner.waiting.size(), 1U) << wait;
  }
  examiner.answer("gone");
  source->on_turn(now + 60'000 * kMs);
  EXPECT_TRUE(examiner.waiting.empty());
  EXPECT_EQ(posted(), (Posted{{"pod:" + kPod + "/" + kId + " " + fact::kRuntimeUnknown,
                               "gone before the runtime's state was read runtime"}}));
  EXPECT_EQ(count("runtime_containers_gone"), 1U);
}

TEST_F(RuntimeStateTest, WhatCannotBeReadIsSaidAtOnce) {
  for (const char* why : {"too large", "unknown format", "refused"}) {
    source->on_workload(pod());
    examiner.answer(why);
    EXPECT_EQ(posted().begin()->second, std::string("the runtime's state cannot be read: ") + why + " runtime");
  }
  source->on_workload(container("a:b", "/k8s.io/a:b"));
  EXPECT_TRUE(examiner.waiting.empty()) << "no path is made of such an id";
  EXPECT_EQ(count("runtime_containers_unreadable"), 4U);
}

TEST_F(RuntimeStateTest, DockersAndPodmansNamesAreAskedForBesides) {
  source->on_workload(container(kId, "/docker/" + kId));
  examiner.answer({}, {{fact::kCgroup, "/docker/" + kId}, {fact::kRuntime, "docker"}});
  EXPECT_EQ(examiner.question().format, bundle::kDocker);
  (void)posted();
  examiner.answer({}, {{fact::kContainerName, "web-1"},
                       {fact::kComposeProject, kShop},
                       {fact::kPodName, "victim"},
                       {fact::kK8sContainer, "victim"},
                       {fact::kContainerType, "sandbox"}});
  const std::string own = "container:" + kId + " ";
  EXPECT_EQ(posted(),
            (Posted{{own + fact::kContainerName, "web-1 runtime"}, {own + fact::kComposeProject, "shop claimed"}}))
      << "labels may be the image's";
  EXPECT_TRUE(examiner.waiting.empty());

  const std::string other(64, 'b');
  source->on_workload(container(other, "/machine.slice/libpod-" + other + ".scope"));
  examiner.answer({}, {{fact::kCgroup, "machine.slice:libpod:" + other}, {fact::kRuntime, "podman"}});
  EXPECT_EQ(examiner.question().format, bundle::kStorage);
  examiner.answer({});
  EXPECT_EQ(examiner.question().format, bundle::kVolatile);
  (void)posted();
  examiner.answer({}, {{fact::kContainerName, "web-2"}});
  EXPECT_EQ(posted(), (Posted{{"container:" + other + " " + fact::kContainerName, "web-2 runtime"}}));
  EXPECT_TRUE(examiner.waiting.empty());
}

TEST_F(RuntimeStateTest, OfWhatHasNoNameTheOptionIsSaidThatMayHelp) {
  source->on_turn(1);
  source->on_workload(container(kId, "/docker/" + kId));
  examiner.answer({}, {{fact::kCgroup, "/docker/" + kId}, {fact::kRuntime, "docker"}});
  (void)posted();
  for (const std::uint64_t wait : {200U, 1000U, 5000U}) {
    examiner.answer("gone");
    source->on_turn(now += wait * kMs);
  }
  examiner.answer("gone");
  EXPECT_EQ(posted(), (Posted{{"container:" + kId + " " + fact::kRuntimeUnknown,
                               "the runtime's name of it cannot be read: gone (is it elsewhere: keytrail-warden "
                               "--docker-root?) runtime"}}));
  EXPECT_EQ(count("runtime_containers_unnamed"), 1U);
}

struct NodeUsersTest : RuntimeStateTest {
  std::vector<UserNames::Names> taken;
  std::optional<NodeUsers> users{std::in_place, examiner,
                                 [this](UserNames::Names names) { taken.push_back(std::move(names)); }};
};

TEST_F(NodeUsersTest, TheFirstOfSeveralNamesWinsAndTheFileIsReadAgain) {
  users->on_turn(1);
  users->on_turn(now += 600'000 * kMs);
  ASSERT_EQ(examiner.waiting.size(), 1U) << "one question at a time";
  EXPECT_EQ(examiner.question().format, bundle::kUsers);
  examiner.answer({}, {{bundle::kUser, " nobody's"},
                       {bundle::kUser, "4294967296 over"},
                       {bundle::kUser, "0 root"},
                       {bundle::kUser, "0 toor"},
                       {bundle::kUser, "1000 alice b"},
                       {bundle::kUser, "x y"},
                       {bundle::kUser, ""},
                       {fact::kPodName, "7 web"}});
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0], (UserNames::Names{{0, "root"}, {1000, "alice b"}}));
  users->on_turn(now + 59'000 * kMs);
  EXPECT_TRUE(examiner.waiting.empty());
  users->on_turn(now += 60'000 * kMs);
  examiner.answer("timeout");
  users->on_turn(now += 10'000 * kMs);
  examiner.answer("gone");
  EXPECT_EQ(taken.size(), 1U);
  users->on_turn(now += 60'000 * kMs);
  users.reset();
  examiner.answer({}, {});
  EXPECT_EQ(taken.size(), 1U);
}

TEST_F(RuntimeStateTest, CriDockerdsPodIsBelievedOfThatPodOnly) {
  source->on_workload(pod());
  examiner.answer({}, {{fact::kCgroup, kDirectory}, {fact::kRuntime, "docker"}});
  (void)posted();
  examiner.answer(
      {}, {{fact::kPodUid, kPod}, {fact::kNamespace, kShop}, {fact::kPodName, "web-1"}, {fact::kK8sContainer, "app"}});
  const auto all = posted();
  EXPECT_EQ(all.at("pod:" + kPod + " " + fact::kPodName), "web-1 runtime");
  EXPECT_EQ(all.at("pod:" + kPod + "/" + kId + " " + fact::kK8sContainer), "app runtime");
}

TEST_F(RuntimeStateTest, NothingOfTheContainerBeforeIsTrueOfTheNextOfAnIdThatPeopleGave) {
  source->on_workload(container("web", "/k8s.io/web"));
  examiner.answer({}, {{fact::kCgroup, "/k8s.io/web"}, {fact::kRuntime, "containerd"}, {fact::kPodName, "first"}});
  (void)queue.take();
  source->on_workload(seen(WorkloadKind::kContainer, "container:web",
                           {{fact::kContainerId, "web"},
                            {fact::kRuntime, "containerd", KnownBy::kRuntime},
                            {fact::kPodName, "first", KnownBy::kRuntime},
                            {fact::kCgroup, "/k8s.io/web"}}));
  ASSERT_EQ(examiner.waiting.size(), 1U) << "the runtime's own word of the one before";
  examiner.answer({}, {{fact::kCgroup, "/k8s.io/web"}, {fact::kRuntime, "containerd"}});
  const auto whole = [this] {
    const std::vector<WorkloadFacts> told = queue.take();
    return told.size() == 1 && told[0].whole && told[0].whole->known_by == KnownBy::kRuntime;
  };
  EXPECT_TRUE(whole());
  source->on_workload(container("web", "/k8s.io/web"));
  examiner.answer("refused");
  EXPECT_TRUE(whole()) << "also where it stays unknown";
  source->on_workload(container(kId, "/docker/" + kId));
  examiner.answer("refused");
  EXPECT_FALSE(whole()) << "an id that was drawn does not come again: what was known before a restart stays";
}

TEST_F(RuntimeStateTest, OthersAreNotAskedAbout) {
  source->on_workload(seen(WorkloadKind::kSystemdUnit, "unit:a.service", {{fact::kContainerId, kId}}));
  source->on_workload(seen(WorkloadKind::kPod, "pod:" + kPod, {{fact::kPodUid, kPod}}));
  source->on_workload(seen(WorkloadKind::kContainer, "container:1000/" + kId, {{fact::kContainerId, kId}}));
  source->on_workload(
      seen(WorkloadKind::kContainer, "container:lxc/web",
           {{fact::kContainerId, "web"}, {fact::kRuntime, "lxc"}, {fact::kCgroup, "/lxc.payload.web"}}));
  EXPECT_TRUE(examiner.waiting.empty());
  EXPECT_EQ(count("runtime_containers_of_users"), 1U);
  config.runtime = false;
  EXPECT_EQ(runtime_state({.config = config, .examiner = examiner}), nullptr);
}

TEST_F(RuntimeStateTest, AFloodIsBoundedAndCounted) {
  for (int i = 0; i < 5'000; ++i) {
    const std::string id = "c" + std::to_string(i);
    source->on_workload(container(id, "/k8s.io/" + id));
  }
  EXPECT_EQ(examiner.waiting.size(), 64U);
  EXPECT_EQ(count("runtime_looks_over_bound"), 5'000U - 4'096U);
  while (!examiner.waiting.empty()) {
    ASSERT_LE(examiner.waiting.size(), 64U);
    examiner.answer("refused");
    (void)queue.take();
  }
  EXPECT_EQ(count("runtime_containers_unreadable"), 4'096U);
}

TEST_F(RuntimeStateTest, AnAnswerMayComeAfterItsEnd) {
  source->on_workload(pod());
  source.reset();
  examiner.answer("gone");
}

}  // namespace
}  // namespace keytrail::identify
