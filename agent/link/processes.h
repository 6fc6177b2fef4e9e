// SPDX-License-Identifier: Apache-2.0
// The table of process instances: one live program per process, with what it inherited. Bounded. Owns the instances
// that live; whoever has work left for one that ended keeps it by its reference. Engine passes fork, exec, exit and the
// sweep's tasks; the others look up. One thread.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "agent/base/lru_map.h"
#include "agent/catalog/catalog.h"
#include "agent/link/holders.h"
#include "agent/link/instance.h"

namespace keytrail::link {

class Processes {
 public:
  Processes(const LinkOptions& options, const catalog::Catalog& catalog, const Watch& watch, KeyIndex& index,
            Holders& holders, Outbox& outbox)
      : options_(options),
        catalog_(catalog),
        watch_(watch),
        index_(index),
        holders_(holders),
        outbox_(outbox),
        containers_(options.max_containers) {}

  /// The instance of an event's process, made when unknown; nullptr only for an event without a process.
  [[nodiscard]] InstanceRef instance_of(const InstanceId& id, const ProcessRef& who);
  [[nodiscard]] InstanceRef find_live(const InstanceId& id) const;
  /// The sweep has ended.
  void all_are_there() { children_of_later_.clear(); }
  [[nodiscard]] const std::unordered_map<std::uint32_t, InstanceRef>& live() const { return live_; }
  /// How many live that are over the bound: nothing is known of them.
  [[nodiscard]] std::uint64_t not_followed() const { return not_followed_.size(); }

  void on_fork(const ForkEvent& event, const EventHead& head, const ProcessRef& parent, const ProcessRef& child);
  /// The new program, and whether it brought news.
  std::pair<InstanceRef, Done> on_exec(const ExecEvent& event, const EventHead& head, const ProcessRef& who);
  /// The instance that ended, or nullptr.
  InstanceRef on_exit(const EventHead& head);

 private:
  void insert(const InstanceRef& instance);
  void show_again(const InstanceRef& instance);
  void end(InstanceRef instance);  // by value: the table's own reference goes
  void note_child(Instance& parent, std::uint32_t tgid) const;
  /// One whose fork was not seen: it and those that came to the table before belong together.
  void find_relatives(const InstanceRef& fresh);
  static void inherit_pending(const InstanceRef& child, const Instance& parent);
  static void lose_pending(const InstanceRef& next, const Instance& before);
  static void keep_open(Instance& next, const Instance& before);
  /// Whether it has entered a container that ran already. `was`: its parent, the program before its exec, or the same
  /// before it was moved; or null. `entered`: of that one.
  void note_entry(Instance& instance, const Process* was, std::uint32_t entered);
  /// Whether another process than this one lives in the container, in whichever cgroup of it.
  [[nodiscard]] bool runs_already(const Workload& container, std::uint32_t but) const;
  void find_caller_of_helper(Instance& helper, const InstanceId& parent) const;

  const LinkOptions& options_;
  const catalog::Catalog& catalog_;
  const Watch& watch_;
  KeyIndex& index_;
  Holders& holders_;
  Outbox& outbox_;
  std::unordered_map<std::uint32_t, InstanceRef> live_;  ///< by tgid
  /// By the parent's tgid: children that came to the table before it, while the sweep runs.
  std::unordered_multimap<std::uint32_t, std::uint32_t> children_of_later_;
  std::unordered_set<std::uint32_t> not_followed_;         ///< tgids: no more than the kernel has
  base::LruMap<std::uint64_t, std::uint32_t> containers_;  ///< by cgroup id: who was there first; 0: it ran already
};

}  // namespace keytrail::link
