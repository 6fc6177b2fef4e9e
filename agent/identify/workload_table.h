// SPDX-License-Identifier: Apache-2.0
// The workloads that are known, by id: one object for all processes of one, replaced by a new one when a fact is
// learnt. What was learnt of a pod is given to containers of it that begin later. Bounded. Thread: the pipeline's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "keytrail/workload.h"

namespace keytrail::identify {

struct WorkloadStats {
  std::uint64_t facts_refused = 0;  ///< too long, or more than a workload may have
  std::uint64_t over_bound = 0;     ///< workloads not remembered, and facts of workloads for which there was no room
};

class WorkloadTable {
 public:
  using WallClock = std::function<std::int64_t()>;
  WorkloadTable(std::size_t max, WallClock wall_ns) : max_(max), wall_ns_(std::move(wall_ns)) {}

  /// Null when it is not known.
  [[nodiscard]] std::shared_ptr<const Workload> find(const std::string& id) const;
  /// Makes one that is not known yet, with what was learnt of it before. When the table is full of workloads in use,
  /// the caller's is all there is.
  std::shared_ptr<const Workload> make(std::string id, WorkloadKind kind, const std::vector<Fact>& facts);
  /// Facts of a workload, or of all containers of a pod; also of one that no process has been seen of. `since_ns` 0 =
  /// now.
  void learn(WorkloadFacts facts);
  /// What was news since the last call, for the history.
  [[nodiscard]] std::vector<WorkloadFacts> take_news();
  [[nodiscard]] const WorkloadStats& stats() const { return stats_; }

 private:
  using Known = std::map<std::string, std::shared_ptr<const Workload>, std::less<>>;
  void rebuild(Known::iterator at, const std::vector<Fact>& facts);
  bool make_room();

  const std::size_t max_;
  const WallClock wall_ns_;
  Known known_;                                                   // sorted: a pod's containers stand together
  std::map<std::string, std::vector<Fact>, std::less<>> learnt_;  // by the id they were learnt of
  std::map<std::string, std::vector<Fact>, std::less<>> news_;
  WorkloadStats stats_;
};

}  // namespace keytrail::identify
