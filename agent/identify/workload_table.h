// SPDX-License-Identifier: Apache-2.0
// The workloads that are known, by id: one object for all processes of one, replaced by a new one when a fact is
// learnt. What was learnt of a pod is given to containers of it that begin later. Bounded, and the room is shared: by
// users, pods and directories of cgroups (base::FairShares), of which one alone gets half. Thread: the pipeline's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/fair_queue.h"
#include "keytrail/workload.h"

namespace keytrail::identify {

struct WorkloadStats {
  std::uint64_t facts_refused = 0;    ///< too long, or more than a workload may have
  std::uint64_t facts_like_keys = 0;  ///< values that look like a key: somebody wrote one into a label
  std::uint64_t over_bound = 0;       ///< workloads not remembered, and facts of workloads for which there was no room
};

class WorkloadTable {
 public:
  using WallClock = std::function<std::int64_t()>;
  WorkloadTable(std::size_t max, WallClock wall_ns) : max_(max), wall_ns_(std::move(wall_ns)), room_(max) {}

  /// Null when it is not known.
  [[nodiscard]] std::shared_ptr<const Workload> find(const std::string& id) const;
  /// Its name, else the id.
  [[nodiscard]] std::string name_of(const std::string& id) const;
  /// Makes one that is not known yet, with what was learnt of it before. Where there is no room for it, the
  /// caller's is all there is. `owner`: who may have made many like it, and shares the room for them.
  std::shared_ptr<const Workload> make(std::string id, WorkloadKind kind, const std::vector<Fact>& facts,
                                       std::string_view owner);
  /// Facts of a workload, or of all containers of a pod; also of one that no process has been seen of. `since_ns` 0 =
  /// now. A value that looks like a key is left out.
  void learn(WorkloadFacts facts);
  /// Those that `make` made and keeps, since the last call; an id comes again after it was given up for others.
  [[nodiscard]] std::vector<std::shared_ptr<const Workload>> take_made() { return std::exchange(made_, {}); }
  /// What was news since the last call, for the history.
  [[nodiscard]] std::vector<WorkloadFacts> take_news();
  [[nodiscard]] const WorkloadStats& stats() const { return stats_; }
  [[nodiscard]] std::size_t size() const { return known_.size(); }
  /// WorkloadStats::over_bound since the last call, by name (empty: of several).
  [[nodiscard]] std::map<std::string, std::uint64_t> take_turned_away() { return std::exchange(turned_away_, {}); }

 private:
  static constexpr std::size_t kMaxTurnedAway = 256;  // workloads that are told apart
  struct Entry {
    std::shared_ptr<const Workload> workload;
    base::FairShares::Share room;
  };
  struct Learnt {
    std::vector<Fact> facts;
    bool whole = false;  ///< all that is known in one way was told
  };
  using Known = std::map<std::string, Entry, std::less<>>;
  /// Takes out of `from` what was known as `facts` know it, and what they do not have. Gives what it took.
  static std::vector<Fact> withdraw(std::vector<Fact>& from, const WorkloadFacts& facts);
  void rebuild(Known::iterator at, const std::vector<Fact>& facts, const std::vector<Fact>& gone);
  void tell(const std::string& id, const std::vector<Fact>& fresh, const std::optional<WorkloadFacts::Whole>& whole);
  base::FairShares::Share make_room(std::string_view id, std::string_view maker);
  void turn_away(std::string name);

  const std::size_t max_;
  const WallClock wall_ns_;
  std::vector<std::shared_ptr<const Workload>> made_;
  Known known_;                                        // sorted: a pod's containers stand together
  std::map<std::string, Learnt, std::less<>> learnt_;  // by the id they were learnt of
  std::map<std::string, WorkloadFacts, std::less<>> news_;
  base::FairShares room_;
  std::int64_t looked_ns_ = -1'000'000'000;  // for workloads that nobody refers to any more; wall clock
  std::map<std::string, std::uint64_t> turned_away_;
  WorkloadStats stats_;
};

}  // namespace keytrail::identify
