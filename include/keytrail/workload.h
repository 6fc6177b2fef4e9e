// SPDX-License-Identifier: Apache-2.0
// What a process belongs to: a stable id, and facts about it that may be learnt at any time. Immutable; copies share
// the facts. Everything that is kept (rows, edges, holdings, findings) refers to the id alone, so a name learnt late
// splits no history.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "keytrail/shared_list.h"
#include "keytrail/words.h"

namespace keytrail {

/// Stored: a number keeps its meaning for ever.
enum class WorkloadKind : std::uint8_t {
  kHost = 0,  ///< a program that belongs to nothing that has a name of its own
  kSystemdUnit = 1,
  kContainer = 2,
  kPod = 3,
  kLoginSession = 4,  ///< a person who logged in
  kCiJob = 5,         ///< in older histories only: a CI job is a fact (kCiJob) of what it runs in
  kSpiffe = 6
};

/// How a fact is known, the most trusted first: where two contradict, the first of this order is shown; all are kept.
/// Stored by number.
enum class KnownBy : std::uint8_t {
  kKernel = 0,   ///< the kernel's own objects: cgroup, user, executable
  kRuntime = 1,  ///< the container runtime's state on this node
  kCluster = 2,  ///< the API server or the kubelet
  kToken = 3,    ///< the claims of a token that the workload itself uses; its signature is not checked
  kClaimed = 4   ///< what the workload says of itself
};

/// Names of facts. Those of the OpenTelemetry semantic conventions (resource attributes k8s.*, container.*) where they
/// have one, own ones else. Each is an attribute of the exported resource under this very name.
namespace fact {
inline constexpr char kPodUid[] = "k8s.pod.uid";
inline constexpr char kPodName[] = "k8s.pod.name";
inline constexpr char kNamespace[] = "k8s.namespace.name";
inline constexpr char kNodeName[] = "k8s.node.name";
inline constexpr char kServiceAccount[] = "keytrail.k8s.serviceaccount.name";
inline constexpr char kReplicaSet[] = "k8s.replicaset.name";
inline constexpr char kDeployment[] = "k8s.deployment.name";
inline constexpr char kStatefulSet[] = "k8s.statefulset.name";
inline constexpr char kDaemonSet[] = "k8s.daemonset.name";
inline constexpr char kJob[] = "k8s.job.name";
inline constexpr char kCronJob[] = "k8s.cronjob.name";
inline constexpr char kK8sContainer[] = "k8s.container.name";  ///< as the pod's manifest calls it
inline constexpr char kPodLabel[] = "k8s.pod.label.";          ///< and the label's key behind it
inline constexpr char kContainerId[] = "container.id";
inline constexpr char kContainerName[] = "container.name";  ///< as the runtime calls it
inline constexpr char kImageName[] = "container.image.name";
inline constexpr char kImageDigest[] = "container.image.repo_digests";  ///< "NAME@sha256:…", or the digest alone
inline constexpr char kImageId[] = "container.image.id";                ///< the runtime's own: "sha256:…"
inline constexpr char kRuntime[] = "container.runtime.name";            ///< containerd, cri-o, docker, podman, nspawn
inline constexpr char kContainerType[] = "keytrail.container.type";     ///< of a pod: "sandbox", "container"
inline constexpr char kComposeProject[] = "keytrail.compose.project";   ///< Docker Compose's
inline constexpr char kComposeService[] = "keytrail.compose.service";
inline constexpr char kRuntimeUnknown[] = "keytrail.runtime.unknown";  ///< why the runtime's state tells nothing of it
inline constexpr char kServiceName[] = "service.name";
inline constexpr char kServiceNamespace[] = "service.namespace";
inline constexpr char kServiceVersion[] = "service.version";
inline constexpr char kServiceInstance[] = "service.instance.id";
inline constexpr char kEnvironment[] = "deployment.environment.name";
inline constexpr char kTeam[] = "keytrail.team";
inline constexpr char kSpiffeId[] = "keytrail.spiffe.id";
inline constexpr char kUnit[] = "keytrail.systemd.unit";
inline constexpr char kUnitOwner[] = "keytrail.systemd.user";  ///< of a unit that a user's own manager runs
/// As the kernel names it, down to the one that makes the workload.
inline constexpr char kCgroup[] = "keytrail.cgroup.path";
/// Of what runs in a container that is a machine of its own (a node of kind, LXC, Docker in Docker): the outermost one.
inline constexpr char kOuterContainer[] = "keytrail.outer.container";  ///< its id
inline constexpr char kOuterPod[] = "keytrail.outer.pod";              ///< and its pod's uid
/// Whose mount namespace a process of it was last seen in, beside its own: a workload's name, or "host" (nsenter,
/// setns).
inline constexpr char kNamespacesOf[] = "keytrail.namespaces.of";
inline constexpr char kPerson[] = "keytrail.person";
/// The coding agent whose program, or whose children, it is: "claude code". By the name of the program.
inline constexpr char kAgent[] = "keytrail.agent";
inline constexpr char kProgram[] = "keytrail.workload.program";
inline constexpr char kCiJob[] = "keytrail.ci.job";        ///< "acme/shop deploy"
inline constexpr char kCiSystem[] = "keytrail.ci.system";  ///< github, gitlab, jenkins, …
inline constexpr char kCiPipeline[] = "cicd.pipeline.name";
inline constexpr char kCiRun[] = "cicd.pipeline.run.id";
inline constexpr char kCiTask[] = "cicd.pipeline.task.name";  ///< the job in the pipeline
inline constexpr char kVcsRepository[] = "vcs.repository.name";
/// Of the machine (kThisMachine), by its cloud's metadata service.
inline constexpr char kCloudProvider[] = "cloud.provider";
inline constexpr char kCloudAccount[] = "cloud.account.id";  ///< account, project, subscription, tenancy
inline constexpr char kCloudRegion[] = "cloud.region";
inline constexpr char kCloudZone[] = "cloud.availability_zone";
inline constexpr char kHostId[] = "host.id";
inline constexpr char kHostType[] = "host.type";
inline constexpr char kCloudIdentity[] = "keytrail.cloud.identity";  ///< instance profile, service account
}  // namespace fact

inline constexpr std::size_t kMaxFacts = 64;       ///< per workload
inline constexpr std::size_t kMaxFactName = 128;   ///< bytes
inline constexpr std::size_t kMaxFactValue = 512;  ///< bytes

struct Fact {
  std::string name;
  std::string value;
  KnownBy known_by = KnownBy::kKernel;
  std::int64_t since_ns = 0;  ///< Unix ns: since when this value is known

  bool operator==(const Fact&) const = default;
};

struct Workload {
  /// "pod:UID/CONTAINER", "container:ID", "unit:NAME", "user:UID", "user:UID/agent/NAME", "cgroup:PATH:PROGRAM",
  /// "host:PROGRAM", "ci:…"
  /// (agent/identify/README.md). What stands before the '/' of a pod's container names the pod: what is learnt of
  /// "pod:UID" is true of all its containers.
  std::string id;
  WorkloadKind kind = WorkloadKind::kHost;
  std::string name;  ///< as shown and asked for; made from the facts (base::shown_name) and nothing else
  KnownBy known_by = KnownBy::kKernel;  ///< how the name is known: the weakest of the facts it is made from
  SharedList<Fact> facts;  ///< sorted by name, then by known_by: the first of a name is the one that counts

  /// The fact that counts, or nullptr.
  [[nodiscard]] const Fact* find(std::string_view fact_name) const {
    const auto it = std::find_if(facts.begin(), facts.end(), [&](const Fact& one) { return one.name == fact_name; });
    return it == facts.end() ? nullptr : it;
  }
  /// Its value, or nothing.
  [[nodiscard]] std::string_view value(std::string_view fact_name) const {
    const Fact* found = find(fact_name);
    return found == nullptr ? std::string_view() : std::string_view(found->value);
  }
};

/// Facts learnt of a workload (or, with a pod's id, of all its containers).
struct WorkloadFacts {
  struct Whole {
    KnownBy known_by = KnownBy::kCluster;
    std::int64_t since_ns = 0;             ///< Unix ns; 0 = now
    std::vector<std::string> unsaid;       ///< names of which nothing is said: what was known stays
    std::vector<std::string> nor_claimed;  ///< names of which nothing else is claimed, either

    [[nodiscard]] bool speaks_of(std::string_view name, KnownBy how) const {
      return (how == known_by && std::find(unsaid.begin(), unsaid.end(), name) == unsaid.end()) ||
             (how == KnownBy::kClaimed && std::find(nor_claimed.begin(), nor_claimed.end(), name) != nor_claimed.end());
    }
  };
  std::string id;
  std::vector<Fact> facts;
  /// Given: these are all that are known of what it speaks of; one that was and is not among them is no longer true.
  std::optional<Whole> whole = std::nullopt;
};

template <>
inline constexpr auto kWords<KnownBy> = words<KnownBy>({
    {KnownBy::kKernel, "kernel"},
    {KnownBy::kRuntime, "runtime"},
    {KnownBy::kCluster, "cluster"},
    {KnownBy::kToken, "token"},
    {KnownBy::kClaimed, "claimed"},
});

template <>
inline constexpr auto kWords<WorkloadKind> = words<WorkloadKind>({
    {WorkloadKind::kHost, "host"},
    {WorkloadKind::kSystemdUnit, "systemd_unit"},
    {WorkloadKind::kContainer, "container"},
    {WorkloadKind::kPod, "pod"},
    {WorkloadKind::kLoginSession, "login_session"},
    {WorkloadKind::kCiJob, "ci_job"},
    {WorkloadKind::kSpiffe, "spiffe"},
});

}  // namespace keytrail
