// SPDX-License-Identifier: Apache-2.0
// Source of identity: this node's pods, followed at the API server (list and watch, or WatchList), or asked for at the
// kubelet. Its own thread; nobody waits for it. What goes wrong there is tried again for ever, with growing waits, and
// is told: remark(), counters().
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "agent/base/config.h"
#include "agent/identify/kube_access.h"
#include "keytrail/identity_source.h"
#include "keytrail/result.h"

namespace keytrail::identify {

/// Bounds and times; tests have shorter ones.
struct KubeTimes {
  std::chrono::milliseconds silence{90'000};       ///< of a watch, in which a bookmark comes each minute
  std::chrono::seconds watch{300};                 ///< then the server ends it; up to half as long again
  std::chrono::milliseconds poll{15'000};          ///< between two questions to the kubelet
  std::chrono::milliseconds owners_again{60'000};  ///< after a question about an owner failed
  std::function<double()> draw;                    ///< from 0 to 1; empty = at random
};
inline constexpr std::size_t kMaxPods = 5'000;  ///< a node has 110 by default

/// `access`: whom to ask, or the error that is shown as the remark of a source that asks nobody.
[[nodiscard]] std::unique_ptr<IdentitySource> make_kube_source(Result<KubeAccess> access,
                                                               const base::KubernetesConfig& config,
                                                               KubeTimes times = {});

}  // namespace keytrail::identify
