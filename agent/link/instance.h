// SPDX-License-Identifier: Apache-2.0
// What link knows of one program in one process: the keys it holds, and what weakens a claim about them. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fair_queue.h"
#include "agent/catalog/catalog.h"
#include "agent/link/doubts.h"
#include "agent/link/holdings.h"
#include "keytrail/event.h"
#include "keytrail/process.h"

namespace keytrail::link {

struct Examination;

struct Instance {
  InstanceId id;
  ProcessRef process;  ///< null when identify does not know it
  const catalog::Program* program = nullptr;
  std::shared_ptr<Instance> parent;  ///< only while both live and the child is a catalogued helper
  Doubts doubts;
  CgroupOwners cgroups;  ///< since doubts.life_from_ns; of what an earlier worker knew doubts.gap_ns is left
  bool alive = true;
  bool called = false;            ///< it connected to somebody who may take keys
  std::uint32_t stdout_pipe = 0;  ///< that its program began with (ev_exec's number); 0: none, or a fork
  std::uint32_t stdin_pipe = 0;   ///< the same; a fork has its parent's
  bool channel = false;           ///< its program began with another pipe or local socket; a fork has its parent's
  std::vector<std::uint32_t> children;  ///< tgids of its forks, the newest last; at most 32, some of them ended
  /// The process by which it came into a container that ran already (kubectl exec, docker exec): its id; else 0.
  std::uint32_t entered = 0;
  bool environment_asked = false;
  bool untold = false;          ///< it was started with keys that only the examiner can tell (FoundKey::told)
  bool hides_address = false;   ///< a destination's variable that may hold a key, too: asked for when it connects
  std::size_t stored_life = 0;  ///< hash of what the history has of it; see life.h
  std::unique_ptr<const Doubts> stored_doubts;  ///< those in it; null: not compared yet
  bool synced = false;                          ///< the durable table holds rows of it
  bool queued_dirty = false;
  /// Whose rows there name all its keys, while it has no rows of its own; null: nobody's.
  std::shared_ptr<Instance> shown_by;
  std::uint64_t shown_since_ns = 0;  ///< since when: for it, or for those without rows that it has them from
  std::uint64_t dropped_ns = 0;      ///< kernel time at which a row of it was dropped, the last; 0 = not
  std::size_t held_uses = 0;         ///< waiting to be weighed
  Holdings holdings;
  base::FairShares::Share holdings_share;  ///< as many as it has, or had
  std::vector<std::shared_ptr<Examination>> pending;

  /// What identify says of it now.
  void set(ProcessRef known) {
    process = std::move(known);
    if (process) cgroups.note(process->cgroup_id, process->cgroup_owner);
  }
  [[nodiscard]] bool reads_in_bulk() const { return doubts.bulk || (program != nullptr && program->bulk_reader); }
  [[nodiscard]] const SharedList<EnvItem>& env() const {
    static const SharedList<EnvItem> kNone;
    return !baseline_env.empty() ? baseline_env : (process ? process->env : kNone);
  }
  SharedList<EnvItem> baseline_env;  ///< of a process found by the sweep, from the examiner
};

using InstanceRef = std::shared_ptr<Instance>;

/// Whose a variable is that only its place names: the workload, without the program where that tells workloads apart,
/// so that a program that starts another in its place renames no key.
[[nodiscard]] std::string variable_owner(const Instance& instance);

/// Empty when it is not known.
[[nodiscard]] inline std::string_view workload_id(const Instance& instance) {
  return instance.process && instance.process->workload ? instance.process->workload->id : std::string_view();
}

/// As people know it now; empty when it is not known.
[[nodiscard]] inline std::string workload_name(const ProcessRef& process) {
  return process && process->workload ? process->workload->name : std::string();
}

/// Whose its work is, for what is shared fairly: who logged in, whatever cgroups he makes, or else the cgroup; in that
/// the program and its user; in that the process.
[[nodiscard]] inline base::Owners owners_of(const Instance& instance) {
  const Process* process = instance.process.get();
  if (process == nullptr) return {0, 0, instance.id.tgid};
  constexpr std::uint64_t kLogin = std::uint64_t{1} << 63U;
  const bool person = process->login_uid != UINT32_MAX && process->login_uid != 0;
  const std::uint64_t program = std::hash<std::string>()(process->exe) ^ (std::uint64_t{process->uid} << 32U);
  return {person ? kLogin | process->login_uid : process->cgroup_id, program ^ process->cgroup_id,
          instance.id.start_ns ^ (std::uint64_t{instance.id.tgid} << 32U)};
}

/// A shell, or what starts programs with what it reads, as one does (xargs).
[[nodiscard]] bool is_shell(const Instance& instance);

/// A question to the examiner that is not answered yet, and who waits for it.
struct Examination {
  struct Receiver {
    InstanceRef instance;
    How how = How::kDirect;
  };
  std::uint64_t time_ns = 0;                ///< kernel time of the open or exec
  std::span<const std::string_view> kinds;  ///< that may stand there (catalog data); empty = any
  bool done = false;
  std::vector<Receiver> receivers;  ///< the first is the one that opened
};

}  // namespace keytrail::link
