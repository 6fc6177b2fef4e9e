// SPDX-License-Identifier: Apache-2.0
// Between the sources of identity and the pipeline: what they post waits here, bounded, until the pipeline takes it.
// Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "keytrail/identity_source.h"

namespace keytrail::identify {

class FactQueue final : public IdentitySink {
 public:
  explicit FactQueue(std::size_t max_posts = 4096) : max_(max_posts) {}

  void post(WorkloadFacts facts) override {
    const std::lock_guard lock(mutex_);
    if (posts_.size() >= max_ || facts.facts.size() > kMaxFacts) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    posts_.push_back(std::move(facts));
  }
  /// All that waits, in the order it came.
  [[nodiscard]] std::vector<WorkloadFacts> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(posts_, {});
  }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  const std::size_t max_;
  std::mutex mutex_;
  std::vector<WorkloadFacts> posts_;
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace keytrail::identify
