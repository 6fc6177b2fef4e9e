// SPDX-License-Identifier: Apache-2.0
// Whether a pod's owner is what its author wrote: the API server is asked, once for each, on a connection of its own,
// as the watch takes the other. Thread: the source's; `cancel` from any.
#pragma once

#include <chrono>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "agent/identify/kube_api.h"
#include "agent/identify/kube_pods.h"

namespace keytrail::identify {

class KubeOwners {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMaxKnown = 5'000;
  static constexpr auto kRefusedAgain = std::chrono::minutes(10);  ///< after the right to get a kind was refused

  /// `failed_again`: how long nobody is asked after a failure, and one that is not what it should be is not asked
  /// again.
  explicit KubeOwners(KubeEndpoint endpoint, std::chrono::milliseconds failed_again)
      : api_(std::move(endpoint)), failed_again_(failed_again) {}
  void cancel() { api_.cancel(); }

  /// What controls the owner, where the object of its name in that namespace has its uid. Its kind is one of
  /// ReplicaSet, StatefulSet, DaemonSet (apps), Job (batch).
  [[nodiscard]] std::expected<PodOwner, OwnerDoubt> of(std::string_view name_space, const PodOwner& owner);

  /// Which rights are missing, "statefulsets, daemonsets", and the server's words for one of them; empty: none.
  [[nodiscard]] std::pair<std::string, std::string> refused() const;
  /// True once when what could not be asked for before may be now: of all pods again.
  [[nodiscard]] bool ask_again();

 private:
  struct Known {
    std::expected<PodOwner, OwnerDoubt> controller;
    Clock::time_point until;  // of what is not so; the rest holds for good
  };
  struct Refusal {
    std::string text;
    Clock::time_point again;
  };

  KubeApi api_;
  const std::chrono::milliseconds failed_again_;
  std::map<std::string, Known> known_;       // by path and uid
  std::map<std::string, Refusal> refusals_;  // by resource
  Clock::time_point again_;                  // nobody is asked before
  bool failed_ = false, granted_ = false;
};

}  // namespace keytrail::identify
