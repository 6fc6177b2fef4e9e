// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/cgroup_path.h"

#include <gtest/gtest.h>

namespace keytrail::identify {
namespace {

const std::string kId = "3f2a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718";
const std::string kOther(64, 'b');
const std::string kPod = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";
const std::string kPodUnderscored = "0b1c2d3e_4f50_6172_8394_a5b6c7d8e9f0";

void expect_plain(const std::string& path) {
  const CgroupPlace place = parse_cgroup_path(path);
  EXPECT_EQ(place.kind, WorkloadKind::kHost) << path;
  EXPECT_EQ(place.pod_uid + place.container, "") << path;
}

TEST(CgroupPathTest, PodsOfTheCgroupfsDriver) {
  for (const std::string qos : {"", "besteffort/", "burstable/"}) {
    for (const std::string& container : {kId, "crio-" + kId}) {
      const CgroupPlace place = parse_cgroup_path("/kubepods/" + qos + "pod" + kPod + "/" + container);
      EXPECT_EQ(place.kind, WorkloadKind::kPod);
      EXPECT_EQ(place.pod_uid, kPod);
      EXPECT_EQ(place.container, kId);
      EXPECT_EQ(place.known_by, KnownBy::kKernel);
    }
  }
}

TEST(CgroupPathTest, PodsOfTheSystemdDriver) {
  for (const std::string qos : {"", "-besteffort", "-burstable"}) {
    const std::string tree = qos.empty() ? "" : "/kubepods" + qos + ".slice";
    for (const char* runtime : {"cri-containerd-", "crio-", "docker-"}) {
      const CgroupPlace place = parse_cgroup_path("/kubepods.slice" + tree + "/kubepods" + qos + "-pod" +
                                                  kPodUnderscored + ".slice/" + runtime + kId + ".scope");
      EXPECT_EQ(place.kind, WorkloadKind::kPod);
      EXPECT_EQ(place.pod_uid, kPod);
      EXPECT_EQ(place.container, kId);
    }
  }
}

TEST(CgroupPathTest, PodsBelowAKubeletRoot) {
  EXPECT_EQ(
      parse_cgroup_path(
          "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" +
          kPodUnderscored + ".slice/cri-containerd-" + kId + ".scope")
          .pod_uid,
      kPod);
  EXPECT_EQ(parse_cgroup_path("/kubelet/kubepods/burstable/pod" + kPod + "/" + kId).container, kId);
}

TEST(CgroupPathTest, ContainerdsColonForm) {
  const CgroupPlace place = parse_cgroup_path("/system.slice/containerd.service/kubepods-burstable-pod" +
                                              kPodUnderscored + ".slice:cri-containerd:" + kId);
  EXPECT_EQ(place.kind, WorkloadKind::kPod);
  EXPECT_EQ(place.pod_uid, kPod);
  EXPECT_EQ(place.container, kId);
}

TEST(CgroupPathTest, StaticPodsHaveAHashForAUid) {
  const std::string hash(32, 'd');
  EXPECT_EQ(parse_cgroup_path("/kubepods/burstable/pod" + hash + "/" + kId).pod_uid, hash);
}

TEST(CgroupPathTest, PodsOwnCgroupHasNoContainer) {
  const CgroupPlace place = parse_cgroup_path("/kubepods/pod" + kPod);
  EXPECT_EQ(place.kind, WorkloadKind::kPod);
  EXPECT_EQ(place.container, "");
}

TEST(CgroupPathTest, ContainersOutsideKubernetes) {
  for (const std::string& path :
       {"/system.slice/docker-" + kId + ".scope", "/docker/" + kId, "/k8s.io/" + kId,
        "/machine.slice/libpod-" + kId + ".scope/container", "/libpod_parent/libpod-" + kId,
        "/ecs/0123456789abcdef/" + kId, "/batch.slice/batch-night.slice/docker-" + kId + ".scope",
        "/system.slice:docker:" + kId, "/system.slice/docker.service/docker/" + kId}) {
    const CgroupPlace place = parse_cgroup_path(path);
    EXPECT_EQ(place.kind, WorkloadKind::kContainer) << path;
    EXPECT_EQ(place.container, kId) << path;
    EXPECT_EQ(place.known_by, KnownBy::kKernel) << path;
  }
  EXPECT_EQ(parse_cgroup_path("/default/web1").container, "web1");
}

TEST(CgroupPathTest, RootlessContainerIsClaimed) {
  const CgroupPlace place =
      parse_cgroup_path("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope/container");
  EXPECT_EQ(place.kind, WorkloadKind::kContainer);
  EXPECT_EQ(place.known_by, KnownBy::kClaimed);
  EXPECT_EQ(place.user, 1000U);
}

TEST(CgroupPathTest, SystemdUnits) {
  EXPECT_EQ(parse_cgroup_path("/system.slice/backup.service").unit, "backup.service");
  EXPECT_EQ(parse_cgroup_path("/system.slice/system-getty.slice/getty@tty1.service").unit, "getty@tty1.service");
  EXPECT_EQ(parse_cgroup_path("/init.scope").unit, "init.scope");
  EXPECT_EQ(parse_cgroup_path("/system.slice/containerd.service").unit, "containerd.service");
  EXPECT_EQ(parse_cgroup_path("/machine.slice/libpod-conmon-" + kId + ".scope").kind, WorkloadKind::kSystemdUnit);
  EXPECT_EQ(parse_cgroup_path("/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service").unit,
            "sync.service");
  EXPECT_EQ(parse_cgroup_path("/user.slice/user-1000.slice/user@1000.service/init.scope").unit, "user@1000.service");
}

TEST(CgroupPathTest, LoginSessions) {
  const CgroupPlace place = parse_cgroup_path("/user.slice/user-1000.slice/session-12.scope");
  EXPECT_EQ(place.kind, WorkloadKind::kLoginSession);
  EXPECT_EQ(place.user, 1000U);
  EXPECT_EQ(
      parse_cgroup_path(
          "/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope")
          .kind,
      WorkloadKind::kLoginSession);
}

TEST(CgroupPathTest, WhatOnlyLooksLikeAPodIsPlain) {
  const std::string pod = "kubepods/burstable/pod" + kPod + "/" + kId;
  expect_plain("/evil/" + pod);
  expect_plain("/evil/docker-" + kId + ".scope");
  expect_plain("/kubepods-burstable-pod" + kPodUnderscored + ".slice");
  expect_plain(pod);  // cut: no beginning
  expect_plain("system.slice/backup.service");
  expect_plain("/kubepodsx/pod" + kPod + "/" + kId);
  expect_plain("/kubepods/podnotauid/" + kId);
  expect_plain("/docker/" + kId.substr(1));
  expect_plain("/docker/" + std::string(64, 'A'));
  EXPECT_EQ(parse_cgroup_path("/system.slice/evil.service/" + pod).unit, "evil.service");
  EXPECT_EQ(parse_cgroup_path("/system.slice/evil.service/docker/" + kId).kind, WorkloadKind::kSystemdUnit);
  EXPECT_EQ(parse_cgroup_path("/user.slice/user-1000.slice/user@1000.service/" + pod).pod_uid, "");
  EXPECT_EQ(parse_cgroup_path("/user.slice/user-1000.slice/session-2.scope/" + pod).kind, WorkloadKind::kLoginSession);
}

TEST(CgroupPathTest, NamesBelowADelegatedDirectoryAreItsOwnersWord) {
  const auto place = [](const std::string& path, std::size_t claimed) {
    return parse_cgroup_path(path, {.claimed = claimed, .owner = 1000});
  };
  const std::string pod = "/kubepods/burstable/pod" + kPod + "/" + kId;
  EXPECT_EQ(place(pod, 0).pod_uid, kPod);
  for (std::size_t claimed = 2; claimed <= 4; ++claimed)
    EXPECT_EQ(place(pod, claimed), CgroupPlace{}) << claimed << ": a plain cgroup";
  const CgroupPlace roots_pod = place(pod, 1);
  EXPECT_EQ(roots_pod.pod_uid, kPod) << "the pod's name is root's, the container's is somebody else's";
  EXPECT_EQ(roots_pod.container, "");
  const CgroupPlace unit = place("/alice.slice/sshd.service", 1);
  EXPECT_EQ(unit.unit, "sshd.service");
  EXPECT_EQ(unit.known_by, KnownBy::kClaimed);
  EXPECT_EQ(unit.user, 1000U);
  EXPECT_EQ(place("/alice.slice/docker-" + kId + ".scope", 1).known_by, KnownBy::kClaimed);
  EXPECT_EQ(place("/user.slice/user-0.slice/session-1.scope", 2), CgroupPlace{});
}

TEST(CgroupPathTest, DelegationBelowWhatRootNamedChangesNothing) {
  const auto same = [](const std::string& path, std::size_t claimed) {
    EXPECT_EQ(parse_cgroup_path(path, {.claimed = claimed, .owner = 1000}), parse_cgroup_path(path)) << path;
  };
  same("/system.slice/web.service/worker", 1);
  same("/kubepods.slice/kubepods-pod" + kPodUnderscored + ".slice/cri-containerd-" + kId + ".scope/init.scope", 1);
  const std::string manager = "/user.slice/user-1000.slice/user@1000.service";
  same(manager + "/app.slice/sync.service", 2);
  same(manager + "/app.slice/app-gnome.slice/vte-spawn-1.scope", 3);
  same(manager + "/kubepods/burstable/pod" + kPod + "/" + kId, 4);
  same("/a/b", 5);
  same("kubepods/pod" + kPod, 1);
}

TEST(CgroupPathTest, OddPathsAreSurvived) {
  for (const std::string& path : std::initializer_list<std::string>{
           "", "/", "//", "/..", "/../..", "kubepods", "/user.slice/user-99999999999.slice/session-1.scope",
           "/user.slice/user-x.slice", "/.service", "/.scope", ":::", std::string(100'000, '/'),
           std::string("/\0\0/x", 5)}) {
    (void)parse_cgroup_path(path);
  }
  std::string deep;
  for (int i = 0; i < 10'000; ++i)
    deep += "/a.slice";
  expect_plain(deep + "/docker-" + kId + ".scope");
  EXPECT_EQ(parse_cgroup_path("/../../system.slice/cron.service").unit, "cron.service");
}

TEST(ChooseCgroupPathTest, TakesTheMostTellingHierarchy) {
  EXPECT_EQ(choose_cgroup_path("0::/system.slice/a.service\n"), "/system.slice/a.service");
  EXPECT_EQ(choose_cgroup_path("9:name=systemd:/system.slice/a.service\n4:memory:/x\n0::/\n"),
            "/system.slice/a.service");
  EXPECT_EQ(choose_cgroup_path("9:name=systemd:/\n4:memory:/x/y\n1:cpu:/\n0::/\n"), "/x/y");
  EXPECT_EQ(choose_cgroup_path("1:cpu,cpuacct:/\n0::/"), "/");
  EXPECT_EQ(choose_cgroup_path("4:name=a:b:/c\n"), "b:/c");
  EXPECT_EQ(choose_cgroup_path("garbage\n\n"), "/");
  EXPECT_EQ(choose_cgroup_path(""), "/");
}

}  // namespace
}  // namespace keytrail::identify
