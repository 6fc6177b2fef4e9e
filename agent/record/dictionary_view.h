// SPDX-License-Identifier: Apache-2.0
// Dictionary numbers back to what they stand for, for one page of results (inside its read transaction).
#pragma once

#include <unordered_map>
#include <vector>

#include "agent/record/sqlite.h"
#include "keytrail/row.h"

namespace keytrail::record {

class DictionaryView {
 public:
  explicit DictionaryView(Database& db) : db_(db) {}
  Result<const Workload*> workload(std::int64_t id);
  /// An actor of which only the texts are set.
  Result<const Actor*> program(std::int64_t id);
  Result<const Key*> key(std::int64_t id);
  Result<const Slot*> slot(std::int64_t id);
  Result<const Destination*> destination(std::int64_t id);
  Result<const std::vector<Candidate>*> keyset(std::int64_t id);
  Result<Actor> actor(std::int64_t workload_id, std::int64_t program_id, const InstanceId& instance, std::uint32_t uid);

 private:
  template <typename T>
  using Map = std::unordered_map<std::int64_t, T>;
  template <typename T, typename Read>
  Result<const T*> look_up(Map<T>& map, const char* sql, std::int64_t id, Read read);

  Database& db_;
  Map<Workload> workloads_;
  Map<Actor> programs_;
  Map<Key> keys_;
  Map<Slot> slots_;
  Map<Destination> destinations_;
  Map<std::vector<Candidate>> keysets_;
};

/// All facts of a workload: its own, and for a pod's container those of the pod. In the order of Workload::facts.
[[nodiscard]] Result<std::vector<Fact>> read_facts(Database& db, std::string_view wid);

}  // namespace keytrail::record
