// SPDX-License-Identifier: Apache-2.0
// The table of process instances: one live program per process, with what it inherited. Bounded. Owns the instances
// that live; whoever has work left for one that ended keeps it by its reference. Engine passes fork, exec, exit and the
// sweep's tasks; the others look up. One thread.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>

#include "agent/catalog/catalog.h"
#include "agent/link/holders.h"
#include "agent/link/instance.h"

namespace keytrail::link {

class Processes {
 public:
  Processes(const LinkOptions& options, const catalog::Catalog& catalog, const Watch& watch, KeyIndex& index,
            Holders& holders, Outbox& outbox)
      : options_(options), catalog_(catalog), watch_(watch), index_(index), holders_(holders), outbox_(outbox) {}

  /// The instance of an event's process, made when unknown; nullptr only for an event without a process.
  [[nodiscard]] InstanceRef instance_of(const InstanceId& id, const ProcessRef& who);
  [[nodiscard]] InstanceRef find_live(const InstanceId& id) const;
  [[nodiscard]] const std::unordered_map<std::uint32_t, InstanceRef>& live() const { return live_; }

  void on_fork(const ForkEvent& event, const EventHead& head, const ProcessRef& parent, const ProcessRef& child);
  /// The new program, and whether it brought news.
  std::pair<InstanceRef, Done> on_exec(const ExecEvent& event, const EventHead& head, const ProcessRef& who);
  /// The instance that ended, or nullptr.
  InstanceRef on_exit(const EventHead& head);

 private:
  void insert(const InstanceRef& instance);
  void end(InstanceRef instance);  // by value: the table's own reference goes
  void inherit_pending(const InstanceRef& child, const Instance& parent);
  void lose_pending(const InstanceRef& next, const Instance& before);
  void find_caller_of_helper(Instance& helper, const InstanceId& parent) const;

  const LinkOptions& options_;
  const catalog::Catalog& catalog_;
  const Watch& watch_;
  KeyIndex& index_;
  Holders& holders_;
  Outbox& outbox_;
  std::unordered_map<std::uint32_t, InstanceRef> live_;  ///< by tgid
};

}  // namespace keytrail::link
