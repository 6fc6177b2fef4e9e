// SPDX-License-Identifier: Apache-2.0
// Between the sources of identity and the pipeline: what they post waits here, bounded, until the pipeline takes it.
// The room is shared by pods and what is in none of them, so that one that is told of very often turns away only what
// is told of itself. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/fair_queue.h"
#include "agent/base/workload_facts.h"
#include "keytrail/identity_source.h"

namespace keytrail::identify {

class FactQueue final : public IdentitySink {
 public:
  explicit FactQueue(std::size_t max_posts = 4096) : room_(max_posts) {}

  void post(WorkloadFacts facts) override {
    const std::lock_guard lock(mutex_);
    if (facts.facts.size() > kMaxFacts || !take_in(facts)) drop(std::move(facts.id));
  }
  bool offer(WorkloadFacts& facts) override {
    const std::lock_guard lock(mutex_);
    if (facts.facts.size() <= kMaxFacts) return take_in(facts);
    drop(std::move(facts.id));  // there will never be room for it
    return true;
  }
  /// All that waits, in the order it came.
  [[nodiscard]] std::vector<WorkloadFacts> take() {
    const std::lock_guard lock(mutex_);
    std::vector<WorkloadFacts> out;
    out.reserve(posts_.size());
    for (Post& one : posts_)
      out.push_back(std::move(one.facts));
    posts_.clear();
    return out;
  }
  /// How many were turned away since the last call, by the workload's id (empty: of several).
  [[nodiscard]] std::map<std::string, std::uint64_t> take_dropped() {
    const std::lock_guard lock(mutex_);
    return std::exchange(untold_, {});
  }
  /// The same, ever.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kMaxUntold = 256;  // workloads that are told apart
  struct Post {
    WorkloadFacts facts;
    base::FairShares::Share room;
  };

  bool take_in(WorkloadFacts& facts) {
    auto room = room_.take(owner_of(facts.id));
    if (!room) return false;
    posts_.push_back({std::move(facts), std::move(room)});
    return true;
  }
  void drop(std::string id) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    if (untold_.size() >= kMaxUntold && !untold_.contains(id)) id.clear();
    ++untold_[std::move(id)];
  }
  static base::Owners owner_of(std::string_view id) {
    const std::string_view pod = base::parent_id(id);
    return {std::hash<std::string_view>{}(pod.empty() ? id : pod), 0, 0};
  }

  std::mutex mutex_;
  base::FairShares room_;
  std::vector<Post> posts_;
  std::map<std::string, std::uint64_t> untold_;
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace keytrail::identify
