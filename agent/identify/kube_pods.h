// SPDX-License-Identifier: Apache-2.0
// What a pod of the Kubernetes API says of the workloads in it. Pure; any thread.
// https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/config.h"
#include "keytrail/workload.h"

namespace keytrail::identify {

/// Who a pod is, as far as the source needs it to follow it.
struct PodHead {
  std::string uid;   ///< of the API's object: a UUID
  std::string id;    ///< "pod:UID" as its cgroup has it: of a static pod the hash of its manifest
  std::string node;  ///< spec.nodeName; empty = not placed yet
};
/// Nothing when it is no pod with a uid of the right form.
[[nodiscard]] std::optional<PodHead> pod_head(const boost::json::object& pod);
/// Whether its kubelet has told of a container in it: of a pod that only looks like a mirror it never does.
[[nodiscard]] bool has_container(const boost::json::object& pod);

/// An entry of ownerReferences that is the controller: whoever made the object wrote it.
struct PodOwner {
  std::string kind;  ///< "ReplicaSet"; empty = it has no controller
  std::string name;
  std::string uid;
  std::string group;  ///< of its API: "apps", "batch"
};
/// The controller of an object by its metadata.
[[nodiscard]] PodOwner controller_of(const boost::json::object& object);

/// Why it cannot be said that a pod is whose its author wrote it to be.
enum class OwnerDoubt : std::uint8_t {
  kNotSo,      ///< the one of that name has another uid
  kCannotAsk,  ///< a right is missing, or there is nobody to ask
  kGone,       ///< what was known stays
  kUnknown     ///< nobody answers now: the same
};
using OwnerAnswer = std::expected<PodOwner, OwnerDoubt>;
/// Who controls the owner of a pod of `name_space`, an object that the server has under that name with that uid.
using OwnerOf = std::function<OwnerAnswer(std::string_view name_space, const PodOwner& owner)>;

/// What was left out, and why; counts.
struct PodLosses {
  std::uint64_t texts_cut = 0;        ///< over kMaxFactValue bytes
  std::uint64_t containers_over = 0;  ///< over kMaxPodContainers
};
inline constexpr std::size_t kMaxPodContainers = 128;  ///< with init and ephemeral ones and the last one of each

/// Facts of "pod:UID", all that the cluster knows of it, save of its owners where those are kGone or kUnknown; and of
/// "pod:UID/CONTAINER" for each that ran or runs. Known by kCluster; owners that nobody bears out by kClaimed, what
/// stands above those by a rule of names (ReplicaSet → Deployment, Job → CronJob) unless they may be borne out yet.
/// Control characters are escaped, long texts are cut.
[[nodiscard]] std::vector<WorkloadFacts> pod_facts(const boost::json::object& pod, const PodHead& head,
                                                   const base::KubernetesConfig& config, const OwnerOf& owner_of,
                                                   PodLosses& losses);

/// Whose a pod's author wrote it to be; what it takes to say so without the pod.
struct PodOwned {
  std::string name_space;
  PodOwner owner;       ///< of a kind that can be asked for
  std::string by_name;  ///< what stands above it by the rules of names; empty: nothing
};
[[nodiscard]] std::optional<PodOwned> pod_owned(const boost::json::object& pod);
/// Takes the answer about its owner into the facts of "pod:UID", in the place of an earlier one.
void set_owners(WorkloadFacts& pod, const PodOwned& owned, const OwnerAnswer& above, PodLosses& losses);

/// The Deployment of a ReplicaSet by its name: DEPLOYMENT-HASH, where the pod's label pod-template-hash is HASH. Empty:
/// the rule does not fit.
[[nodiscard]] std::string_view deployment_by_name(std::string_view replica_set, std::string_view template_hash);
/// The CronJob of a Job by its name: CRONJOB-MINUTES, the scheduled time in minutes since 1970, at most a day away from
/// `created_s` (Unix seconds). Empty: the rule does not fit.
[[nodiscard]] std::string_view cron_job_by_name(std::string_view job, std::int64_t created_s);

}  // namespace keytrail::identify
