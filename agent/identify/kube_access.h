// SPDX-License-Identifier: Apache-2.0
// Whom to ask for this node's pods, from the configuration and the variables of a pod. Pure but for one look whether
// the token is there; any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/base/config.h"
#include "agent/identify/kube_api.h"
#include "keytrail/result.h"

namespace keytrail::identify {

struct KubeAccess {
  KubeEndpoint endpoint;
  std::string node;      ///< of which pods are asked for; never empty
  bool kubelet = false;  ///< its /pods instead of the API server
};

/// Nothing: it is not wanted (off; auto and this is no pod of a cluster, or one without a token). Error kInvalid: what
/// is missing, and how to give it.
[[nodiscard]] Result<std::optional<KubeAccess>> kube_access(
    const base::KubernetesConfig& config, const std::function<std::optional<std::string>(const std::string&)>& getenv);

}  // namespace keytrail::identify
