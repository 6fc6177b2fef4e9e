// SPDX-License-Identifier: Apache-2.0
// Paths as systems make them, and as somebody would make them who wants to be taken for another.
#include <gtest/gtest.h>

#include <string>

#include "agent/identify/cgroup_path.h"

namespace keytrail::identify {
namespace {

using enum WorkloadKind;

// In the paths: $C, $D container ids, $B a build's, $P a pod's uid, $U the same for systemd, $S a static pod's, $N a
// Nomad allocation.
struct Word {
  const char* name;
  std::string text;
};
const Word kTexts[] = {
    {"$C", std::string(62, 'c') + "01"},
    {"$D", std::string(62, 'd') + "02"},
    {"$B", "m66aufx3xv7s2yq91dzxtemvm"},
    {"$P", "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"},
    {"$U", "0b1c2d3e_4f50_6172_8394_a5b6c7d8e9f0"},
    {"$S", "187bff14cccb94f179e943eacce55bb3"},
    {"$N", "4744f0ea-7616-ab3a-a420-8e25056e3861"},
};

std::string filled(std::string text) {
  for (const Word& word : kTexts) {
    for (std::size_t at = text.find(word.name); at != std::string::npos; at = text.find(word.name))
      text.replace(at, 2, word.text);
  }
  return text;
}

struct Layout {
  const char* path;
  WorkloadKind kind;
  const char* pod = "";
  const char* container = "";
  const char* unit = "";
  const char* outer = "";  // container
  const char* outer_pod = "";
  const char* runtime = "";
};

void expect_layout(const Layout& one) {
  const CgroupPlace place = parse_cgroup_path(filled(one.path));
  EXPECT_EQ(place.kind, one.kind) << one.path;
  EXPECT_EQ(place.pod_uid, filled(one.pod)) << one.path;
  EXPECT_EQ(place.container, filled(one.container)) << one.path;
  EXPECT_EQ(place.unit, one.unit) << one.path;
  EXPECT_EQ(place.outer_container, filled(one.outer)) << one.path;
  EXPECT_EQ(place.outer_pod, filled(one.outer_pod)) << one.path;
  EXPECT_EQ(place.runtime, one.runtime) << one.path;
  if (one.kind == kPod || one.kind == kContainer) {
    EXPECT_EQ(place.known_by, *one.outer == '\0' ? KnownBy::kKernel : KnownBy::kClaimed) << one.path;
  }
}

// Sources: (kubelet) kubernetes pkg/kubelet/cm/pod_container_manager_linux.go; (netdata) netdata/netdata#4868;
// (datadog) DataDog's ContainerInfoTest; (minikube) kubernetes/minikube#11280; (falco) libs, container_cgroup tests.
constexpr Layout kPods[] = {
    // containerd, systemd driver, each class (netdata)
    {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod$U.slice/cri-containerd-$C.scope", kPod, "$P",
     "$C"},
    {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod$U.slice/cri-containerd-$C.scope", kPod, "$P",
     "$C"},
    {"/kubepods.slice/kubepods-pod$U.slice/cri-containerd-$C.scope", kPod, "$P", "$C"},
    // a static pod (netdata)
    {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod$S.slice/cri-containerd-$C.scope", kPod, "$S",
     "$C"},
    // dockershim (kontena/pharos-cluster#440), cri-dockerd
    {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod$U.slice/docker-$C.scope", kPod, "$P", "$C"},
    // CRI-O (minikube); with crun; its monitor (kubernetes test/e2e_node)
    {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod$U.slice/crio-$C.scope", kPod, "$P", "$C"},
    {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod$U.slice/crio-$C.scope/container", kPod, "$P",
     "$C"},
    {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod$U.slice/crio-conmon-$C.scope", kPod, "$P"},
    // cgroupfs driver: containerd, CRI-O (falco, datadog); k3s
    {"/kubepods/besteffort/pod$P/$C", kPod, "$P", "$C"},
    {"/kubepods/burstable/pod$P/crio-$C", kPod, "$P", "$C"},
    {"/kubepods/pod$P/$C", kPod, "$P", "$C"},
    // a container that makes cgroups of its own: systemd, Java
    {"/kubepods/pod$P/$C/init.scope", kPod, "$P", "$C"},
    {"/kubepods.slice/kubepods-pod$U.slice/cri-containerd-$C.scope/system.slice/app.service", kPod, "$P", "$C"},
    // containerd with the cgroupfs driver under a kubelet with systemd's: GKE, microk8s, k3s, RKE2; from the root
    {"/system.slice/containerd.service/kubepods-burstable-pod$U.slice:cri-containerd:$C", kPod, "$P", "$C"},
    {"/system.slice/snap.microk8s.daemon-containerd.service/kubepods-besteffort-pod$U.slice:cri-containerd:$C", kPod,
     "$P", "$C"},
    {"/system.slice/k3s.service/kubepods-burstable-pod$U.slice:cri-containerd:$C", kPod, "$P", "$C"},
    {"/system.slice/rke2-server.service/kubepods-pod$U.slice:cri-containerd:$C", kPod, "$P", "$C"},
    {"/kubepods-burstable-pod$U.slice:cri-containerd:$C", kPod, "$P", "$C"},
    {"/kubepods/burstable/pod$P/kubepods-burstable-pod$U.slice:cri-containerd:$C", kPod, "$P", "$C"},
    // microk8s and k3s agents with their own tree
    {"/system.slice/snap.microk8s.daemon-kubelite.service/kubepods/burstable/pod$P/$C", kPod, "$P", "$C"},
    {"/system.slice/k3s-agent.service/kubepods/besteffort/pod$P/$C", kPod, "$P", "$C"},
    // kubelet --cgroup-root: seen from within a kind node (Inspektor Gadget's test of a kind cluster); another root
    {"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod$U.slice/"
     "cri-containerd-$C.scope",
     kPod, "$P", "$C"},
    {"/kubelet/kubepods/besteffort/pod$P/$C", kPod, "$P", "$C"},
    {"/prod.slice/prod-kubepods.slice/prod-kubepods-burstable.slice/prod-kubepods-burstable-pod$U.slice/crio-$C.scope",
     kPod, "$P", "$C"},
};

TEST(CgroupLayouts, Pods) {
  for (const Layout& one : kPods)
    expect_layout(one);
}

// (podman) containers/podman libpod/container.go and container_internal_linux.go; (netdata) cgroup-name.sh; (ecs)
// aws/amazon-ecs-agent taskresource/cgroup; (buildkit) moby/buildkit executor/oci/spec.go; (nomad) hashicorp/nomad
// client/lib/cgroupslib.
constexpr Layout kContainers[] = {
    // Docker: cgroupfs, systemd, --cgroup-parent as a directory and as a slice, in snap's daemon (neuvector, datadog)
    {"/docker/$C", kContainer, "", "$C"},
    {"/system.slice/docker-$C.scope", kContainer, "", "$C"},
    {"/batch/night/$C", kContainer, "", "$C"},
    {"/batch.slice/batch-night.slice/docker-$C.scope", kContainer, "", "$C"},
    {"/system.slice:docker:$C", kContainer, "", "$C"},
    {"/system.slice/snap.docker.dockerd.service/docker/$C", kContainer, "", "$C"},
    // hosted runners: GitHub Actions (kubernetes/minikube cluster status), Azure Pipelines (ansible-test)
    {"/actions_job/$C", kContainer, "", "$C"},
    {"/azpl_job/$C", kContainer, "", "$C"},
    // ECS on EC2 with v1 and v2, on Fargate (ecs)
    {"/ecs/0123456789abcdef0123456789abcdef/$C", kContainer, "", "$C"},
    {"/ecs/prod/0123456789abcdef0123456789abcdef/$C", kContainer, "", "$C"},
    {"/ecstasks.slice/ecstasks-529630467358463ab6bbba4e73afe704.slice/docker-$C.scope", kContainer, "", "$C"},
    {"/ecs/55091c13b8cf4801b527f38601742204/55091c13b8cf4801b527f38601742204-2532081508", kContainer, "",
     "55091c13b8cf4801b527f38601742204-2532081508"},
    // containerd: nerdctl, ctr
    {"/system.slice/nerdctl-$C.scope", kContainer, "", "$C"},
    {"/default/$C", kContainer, "", "$C"},
    {"/k8s.io/web1", kContainer, "", "web1"},
    // Podman: systemd and cgroupfs, in a pod of its own, with crun, --cgroup-parent (podman)
    {"/machine.slice/libpod-$C.scope", kContainer, "", "$C"},
    {"/machine.slice/libpod-$C.scope/container", kContainer, "", "$C"},
    {"/machine.slice/machine-libpod_pod_$D.slice/libpod-$C.scope/container", kContainer, "", "$C"},
    {"/libpod_parent/libpod-$C", kContainer, "", "$C"},
    {"/builds/libpod-$C", kContainer, "", "$C"},
    {"/machine.slice/libpod-conmon-$C.scope", kSystemdUnit, "", "", "libpod-conmon-$C.scope"},
    // BuildKit: alone, in dockerd with both drivers (buildkit)
    {"/buildkit/$B", kContainer, "", "$B", "", "", "", "buildkit"},
    {"/docker/buildkit/$B", kContainer, "", "$B", "", "", "", "buildkit"},
    {"/system.slice/docker-$B.scope", kContainer, "", "$B", "", "", "", "buildkit"},
    {"/system.slice/buildkit.service/buildkit/$B", kContainer, "", "$B", "", "", "", "buildkit"},
    // LXC, LXD, Incus (canonical/imagecraft); LXC 3 and v1; Proxmox; the monitor (btop#1873)
    {"/lxc.payload.web", kContainer, "", "web", "", "", "", "lxc"},
    {"/lxc.payload.user-1000_web/system.slice/nginx.service", kContainer, "", "user-1000_web", "", "", "", "lxc"},
    {"/lxc.payload/web", kContainer, "", "web", "", "", "", "lxc"},
    {"/lxc/101/ns/init.scope", kContainer, "", "101", "", "", "", "lxc"},
    {"/lxc.monitor.web", kHost},
    // systemd-nspawn: registered with machined, as a unit; its supervisor; a virtual machine is its unit
    {"/machine.slice/machine-my\\x2dbox.scope/payload/system.slice/nginx.service", kContainer, "", "my-box", "", "", "",
     "nspawn"},
    {"/machine.slice/systemd-nspawn@web.service/payload/init.scope", kContainer, "", "web", "", "", "", "nspawn"},
    {"/machine.slice/systemd-nspawn@web.service/supervisor", kSystemdUnit, "", "", "systemd-nspawn@web.service"},
    {"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator", kSystemdUnit, "", "",
     "machine-qemu\\x2d1\\x2dvm.scope"},
    // Nomad: 1.7 with v2, before, v1, its docker driver (nomad)
    {"/nomad.slice/share.slice/$N.web.scope", kContainer, "", "$N.web", "", "", "", "nomad"},
    {"/nomad.slice/$N.web.scope", kContainer, "", "$N.web", "", "", "", "nomad"},
    {"/nomad/$N.start", kContainer, "", "$N.start", "", "", "", "nomad"},
    {"/nomad.slice/docker-$C.scope", kContainer, "", "$C"},
    // quadlet, podman --cgroups=split: the unit is what stays (podman)
    {"/system.slice/web.service/libpod-payload-$C", kSystemdUnit, "", "$C", "web.service"},
    {"/system.slice/web.service/libpod-payload-$C/container", kSystemdUnit, "", "$C", "web.service"},
    {"/system.slice/web.service/supervisor", kSystemdUnit, "", "", "web.service"},
    {"/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/libpod-payload-$C", kSystemdUnit, "", "$C",
     "web.service"},
};

TEST(CgroupLayouts, ContainersAndMachines) {
  for (Layout one : kContainers) {
    const std::string unit = filled(one.unit);
    one.unit = unit.c_str();
    expect_layout(one);
  }
}

// (kind) kubernetes-sigs/kind#2175, cilium's remarks on cgroups of kind's nodes, k3d's nodes as Docker shows them.
constexpr Layout kNested[] = {
    {"/docker/$D/kubelet/kubepods/besteffort/pod$P/$C", kPod, "$P", "$C", "", "$D"},
    {"/docker/$D/docker/$D/kubelet/kubepods/besteffort/pod$P/$C", kPod, "$P", "$C", "", "$D"},
    {"/system.slice/docker-$D.scope/kubelet/kubepods/burstable/pod$P/$C", kPod, "$P", "$C", "", "$D"},
    {"/system.slice/docker-$D.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
     "kubelet-kubepods-burstable-pod$U.slice/cri-containerd-$C.scope",
     kPod, "$P", "$C", "", "$D"},
    {"/machine.slice/libpod-$D.scope/container/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod$U.slice/"
     "cri-containerd-$C.scope",
     kPod, "$P", "$C", "", "$D"},
    {"/docker/$D/kubepods/burstable/pod$P/$C", kPod, "$P", "$C", "", "$D"},                        // k3d
    {"/docker/$D/kubepods.slice/kubepods-pod$U.slice/crio-$C.scope", kPod, "$P", "$C", "", "$D"},  // minikube
    {"/actions_job/$D/kubepods/burstable/pod$P/$C", kPod, "$P", "$C", "", "$D"},  // minikube in a hosted runner
    {"/docker/$D/system.slice/containerd.service", kContainer, "", "$D"},         // the node's own programs
    {"/docker/$D/k3s", kContainer, "", "$D"},
    {"/docker/$D/init.scope", kContainer, "", "$D"},
    // Docker in Docker, in a CI pod, in LXC (Proxmox), in Incus; BuildKit in a container (buildx); Podman in Podman
    {"/docker/$D/docker/$C", kContainer, "", "$C", "", "$D"},
    {"/docker/$D/system.slice/docker-$C.scope", kContainer, "", "$C", "", "$D"},
    {"/kubepods/burstable/pod$P/$D/docker/$C", kContainer, "", "$C", "", "$D", "$P"},
    {"/lxc/101/ns/system.slice/docker-$C.scope", kContainer, "", "$C", "", "101"},
    {"/lxc.payload.ci/docker/$C", kContainer, "", "$C", "", "ci"},
    {"/lxc.payload.k8s/kubepods/besteffort/pod$P/$C", kPod, "$P", "$C", "", "k8s"},
    {"/machine.slice/systemd-nspawn@dev.service/payload/machine.slice/libpod-$C.scope/container", kContainer, "", "$C",
     "", "dev"},
    {"/docker/$D/buildkit/$B", kContainer, "", "$B", "", "$D", "", "buildkit"},
    {"/machine.slice/libpod-$D.scope/container/libpod_parent/libpod-$C", kContainer, "", "$C", "", "$D"},
};

TEST(CgroupLayouts, TheInnermostIsToldAsItsHostsWordAndTheOutermostBesideIt) {
  for (const Layout& one : kNested)
    expect_layout(one);
}

// Who may make the directory is not who the name says.
constexpr Layout kForged[] = {
    {"/system.slice/evil.service/kubepods/burstable/pod$P/$C", kSystemdUnit, "", "", "evil.service"},
    {"/system.slice/evil.service/kubepods-burstable-pod$U.slice:cri-containerd:$C", kSystemdUnit, "", "",
     "evil.service"},
    {"/system.slice/evil.service/system.slice/docker-$C.scope", kSystemdUnit, "", "", "evil.service"},
    {"/system.slice/evil.service/x/libpod-payload-$C", kSystemdUnit, "", "", "evil.service"},
    {"/system.slice/evil.service/lxc.payload.web", kSystemdUnit, "", "", "evil.service"},
    {"/system.slice/run-u7.scope/docker/$C", kSystemdUnit, "", "", "run-u7.scope"},
    {"/system.slice/containerd.service.evil.service/kubepods/pod$P/$C", kSystemdUnit, "", "",
     "containerd.service.evil.service"},
    {"/user.slice/user-1000.slice/user@1000.service/app.slice/kubelet.service/kubepods/pod$P/$C", kSystemdUnit, "", "",
     "kubelet.service"},
    {"/user.slice/user-1000.slice/session-2.scope/docker/$C", kLoginSession, "", "", "session-2.scope"},
    {"/user.slice/kubepods/pod$P/$C", kHost},
    {"/evil/kubepods/burstable/pod$P/$C", kHost},
    {"/evil/pod$P/$C", kHost},
    {"/evil/system.slice/docker-$C.scope", kHost},
    {"/evil/sshd.service", kHost},
    {"/evil/lxc.payload.web", kHost},
    {"/evil/machine.slice/machine-web.scope", kHost},
    {"/kubepods.slice/kubepods-podnotauid.slice/cri-containerd-$C.scope", kHost},
    {"/kubepods.slice/evil-pod$U.slice/cri-containerd-$C.scope", kHost},
    {"/system.slice/machine-web.scope/payload", kSystemdUnit, "", "", "machine-web.scope"},
    {"/nomadx/$N.web", kHost},
    {"/docker/$D/default/web1", kContainer, "", "$D"},  // in a container a name of free text is nobody's
    {"/docker/$D/evil.service/docker/$C", kContainer, "", "$D"},
    {"/docker/$D/evil/kubepods/pod$P/$C", kContainer, "", "$D"},
};

TEST(CgroupLayouts, WhatOnlyLooksLikeOneIsNot) {
  for (const Layout& one : kForged)
    expect_layout(one);
}

TEST(CgroupLayouts, OfAContainerThatWasGivenToItsUserTheInnerNamesAreThatOnesWord) {
  for (const std::size_t claimed : {1U, 2U}) {  // a user namespace's root has the payload's directory
    const CgroupPlace place =
        parse_cgroup_path(filled("/lxc.payload.ci/docker/$C"), {.claimed = claimed, .owner = 1000000});
    EXPECT_EQ(place.container, filled("$C"));
    EXPECT_EQ(place.outer_container, "ci");
    EXPECT_EQ(place.known_by, KnownBy::kClaimed);
  }
  const CgroupPlace all = parse_cgroup_path(filled("/lxc.payload.ci/docker/$C"), {.claimed = 3, .owner = 1000});
  EXPECT_EQ(all.user, 1000U) << "the outer one is claimed, too";
  EXPECT_EQ(parse_cgroup_path(filled("/docker/$D/kubepods/pod$P/$C"), {.claimed = 5, .owner = 1000}), CgroupPlace());
}

TEST(CgroupLayouts, AUnitsContainerIsClaimedAndTheUnitStays) {
  const std::string path = filled("/system.slice/web.service/libpod-payload-$C");
  const CgroupPlace place = parse_cgroup_path(path, {.claimed = 1, .owner = 1000});
  EXPECT_EQ(place.unit, "web.service");
  EXPECT_EQ(place.known_by, KnownBy::kKernel);
  EXPECT_EQ(place, parse_cgroup_path(path));
}

TEST(CgroupLayouts, OfAllHierarchiesTheOneThatSaysMostCounts) {
  // A kind node with v1: not every controller is there in the node (the rdma controller, kind's own test data).
  const std::string node = filled("/docker/$D"), pod = node + filled("/kubelet/kubepods/burstable/pod$P/$C");
  EXPECT_EQ(choose_cgroup_path("13:rdma:/\n12:misc:" + node + "\n11:pids:" + pod + "\n1:name=systemd:" + pod + "\n"),
            pod);
  // hybrid: systemd's unit in one, the runtime's container in the other (containerd from Debian 12, runc)
  const std::string ctr = filled("/k8s.io/web1");
  EXPECT_EQ(
      choose_cgroup_path("5:memory:" + ctr + "\n1:name=systemd:/system.slice/containerd.service\n0::" + ctr + "\n"),
      ctr);
}

TEST(CgroupLayouts, TheDirectoryOfAnOwnerIsWhatRootGaveAway) {
  EXPECT_EQ(directory_of_owner("/a/b/c/d/e", 0), "/a/b/c");
  EXPECT_EQ(directory_of_owner("/a/b/n1", 1), "/a/b");
  EXPECT_EQ(directory_of_owner("/a/b/n1/n2", 2), "/a/b");
  EXPECT_EQ(directory_of_owner("/a/n1/n2", 2), "/a");
  EXPECT_EQ(directory_of_owner("/a", 0), "/a");
  EXPECT_EQ(directory_of_owner("/a", 9), "");
  EXPECT_EQ(directory_of_owner("", 0), "");
}

}  // namespace
}  // namespace keytrail::identify
