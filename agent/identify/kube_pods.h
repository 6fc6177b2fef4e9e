// SPDX-License-Identifier: Apache-2.0
// What a pod of the Kubernetes API says of the workloads in it. Pure; any thread.
// https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
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

/// An entry of ownerReferences that is the controller.
struct PodOwner {
  std::string kind;  ///< "ReplicaSet"; empty = it has no controller
  std::string name;
  std::string uid;
  std::string group;  ///< of its API: "apps", "batch"
};
/// The controller of an object by its metadata.
[[nodiscard]] PodOwner controller_of(const boost::json::object& object);

/// Who controls a ReplicaSet or Job of `name_space`; nothing: it cannot be asked, the rule of its name has to do.
using OwnerOf = std::function<std::optional<PodOwner>(std::string_view name_space, const PodOwner& owner)>;

/// What was left out, and why; counts.
struct PodLosses {
  std::uint64_t texts_cut = 0;        ///< over kMaxFactValue bytes
  std::uint64_t containers_over = 0;  ///< over kMaxPodContainers
};
inline constexpr std::size_t kMaxPodContainers = 128;  ///< with init and ephemeral ones and the last one of each

/// Facts of "pod:UID", and of "pod:UID/CONTAINER" for each that ran or runs. Known by kCluster; what rests on a rule of
/// names alone (ReplicaSet → Deployment, Job → CronJob) by kClaimed. Control characters are escaped, long texts are
/// cut.
[[nodiscard]] std::vector<WorkloadFacts> pod_facts(const boost::json::object& pod, const PodHead& head,
                                                   const base::KubernetesConfig& config, const OwnerOf& owner_of,
                                                   PodLosses& losses);

/// The Deployment of a ReplicaSet by its name: DEPLOYMENT-HASH, where the pod's label pod-template-hash is HASH. Empty:
/// the rule does not fit.
[[nodiscard]] std::string_view deployment_by_name(std::string_view replica_set, std::string_view template_hash);
/// The CronJob of a Job by its name: CRONJOB-MINUTES, the scheduled time in minutes since 1970, at most a day away from
/// `created_s` (Unix seconds). Empty: the rule does not fit.
[[nodiscard]] std::string_view cron_job_by_name(std::string_view job, std::int64_t created_s);

}  // namespace keytrail::identify
