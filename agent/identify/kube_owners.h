// SPDX-License-Identifier: Apache-2.0
// Whether a pod's owner is what its author wrote: the API server is asked on a connection of its own, as the watch
// takes the other. Answers are kept, of the last kMaxKnown owners. Thread: the source's; `cancel` from any.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "agent/base/lru_map.h"
#include "agent/identify/kube_api.h"
#include "agent/identify/kube_pods.h"

namespace keytrail::identify {

class KubeOwners {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMaxKnown = 5'000;
  static constexpr auto kRefusedAgain = std::chrono::minutes(10);  ///< after the right to get a kind was refused
  static constexpr auto kFailedAgainMost = std::chrono::minutes(10);

  /// `failed_again`: how long nobody is asked after the server failed (twice as long after each more, at most
  /// kFailedAgainMost), and one that is not what it should be is not asked again.
  explicit KubeOwners(KubeEndpoint endpoint, std::chrono::milliseconds failed_again, std::size_t max_known = kMaxKnown)
      : api_(std::move(endpoint)), failed_again_(failed_again), known_(max_known) {}
  void cancel() { api_.cancel(); }

  /// What controls the owner, where the object of its name in that namespace has its uid. Its kind is one of
  /// ReplicaSet, StatefulSet, DaemonSet (apps), Job (batch).
  [[nodiscard]] OwnerAnswer of(std::string_view name_space, const PodOwner& owner);

  /// Which rights are missing, "statefulsets, daemonsets", and the server's words for one of them; empty: none.
  [[nodiscard]] std::pair<std::string, std::string> refused() const;
  /// True once when what was kUnknown or kCannotAsk before may be asked for again. One question shows whether the
  /// server answers by now: where it does not, `is_silent`.
  [[nodiscard]] bool take_due();
  [[nodiscard]] bool is_silent() const { return Clock::now() < again_; }
  /// Questions to the server so far.
  [[nodiscard]] std::uint64_t asked() const { return asked_; }
  /// Owners that are not remembered for want of room.
  [[nodiscard]] std::uint64_t forgotten() const { return known_.evicted(); }

 private:
  struct Known {
    OwnerAnswer controller;
    Clock::time_point until;  // of what is not so; the rest holds for good
    unsigned failures = 0;    // to give this very object, one after the other
  };
  struct Refusal {
    std::string text;
    Clock::time_point again;
  };

  std::unexpected<OwnerDoubt> not_before(Clock::time_point again, OwnerDoubt doubt);
  [[nodiscard]] Clock::duration wait_after(unsigned failures) const;

  KubeApi api_;
  const std::chrono::milliseconds failed_again_;
  base::LruMap<std::string, Known> known_;   // by path and uid
  std::map<std::string, Refusal> refusals_;  // by resource
  std::uint64_t asked_ = 0;
  Clock::time_point again_;  // nobody is asked before
  unsigned failures_ = 0;    // of the server, one after the other
  Clock::time_point due_ = Clock::time_point::max();
};

}  // namespace keytrail::identify
