// SPDX-License-Identifier: Apache-2.0
// The table of process instances: fork, exec, exit, and what the sweep at start found.
#include <algorithm>

#include "agent/link/engine.h"
#include "agent/link/life.h"

namespace keytrail::link {
namespace {

constexpr std::size_t kMaxReceivers = 256;

bool is_shell(const Instance& instance) {
  if (!instance.process) return false;
  const std::string_view exe = instance.process->exe;
  const std::string_view name = exe.substr(exe.rfind('/') + 1);
  return name == "sh" || name == "dash" || name == "bash" || name == "busybox" || name == "zsh";
}

}  // namespace

InstanceRef Engine::find_live(const InstanceId& id) const {
  const auto it = live_.find(id.tgid);
  return it != live_.end() && it->second->id.same_process(id) ? it->second : nullptr;
}

void Engine::insert(const InstanceRef& instance) {
  const auto it = live_.find(instance->id.tgid);
  if (it != live_.end()) {
    end(it->second);  // its exit was missed, or it was replaced by an exec
  } else if (live_.size() >= options_.max_processes) {
    // Not kept: whatever it does is judged as a process whose start was not seen.
    ++counters_["processes_over_bound"];
    return;
  }
  live_[instance->id.tgid] = instance;
}

void Engine::end(InstanceRef instance) {  // NOLINT(performance-unnecessary-value-param): the table's own reference goes
  instance->alive = false;
  instance->parent = nullptr;
  const auto it = live_.find(instance->id.tgid);
  if (it != live_.end() && it->second == instance) live_.erase(it);
  mark_dirty(instance);
}

InstanceRef Engine::instance_of(const InstanceId& id, const ProcessRef& who) {
  if (id.tgid == 0) return nullptr;
  const ProcessRef process = who && who->id == id ? who : nullptr;
  const auto it = live_.find(id.tgid);
  if (it != live_.end()) {
    const InstanceRef& known = it->second;
    if (known->id == id) {
      if (process) known->process = process;
      return known;
    }
    // An event of an earlier process or program that comes late: it gets an instance of its own, which nobody finds again.
    const bool late = id.start_ns < known->id.start_ns || (id.start_ns == known->id.start_ns && id.exec < known->id.exec);
    if (late) {
      auto passing = std::make_shared<Instance>();
      passing->id = id;
      passing->process = process;
      passing->alive = false;
      return passing;
    }
  }
  // Neither fork nor exec was seen: nothing may be inferred of it.
  auto fresh = std::make_shared<Instance>();
  fresh->id = id;
  fresh->process = process;
  fresh->doubts.life_from_ns = process ? process->exec_ns : 0;
  if (process) fresh->program = catalog_.match_program(process->exe, process->filename);
  if (const InstanceRef before = find_live(id)) carry_over_exec(*fresh, *before);
  insert(fresh);
  return fresh;
}

Engine::Done Engine::on_fork(const ForkEvent& event, const EventHead& head, const ProcessRef& parent_process,
                             const ProcessRef& child_process) {
  const InstanceRef parent = instance_of(head.who, parent_process);
  auto child = std::make_shared<Instance>();
  child->id = event.child;
  child->process = child_process;
  child->doubts.life_from_ns = head.time_ns;
  if (parent) {
    child->program = parent->program;
    child->doubts = parent->doubts.inherit();
    child->baseline_env = parent->baseline_env;
    child->holdings = parent->holdings;
    for (Held& held : child->holdings) {
      if (held.how == How::kDirect || held.how == How::kExec) held.how = How::kFork;
      held.last_use_ns = 0;
      held.dirty = true;
    }
    // What the parent opened and is not identified yet becomes the child's, too.
    for (const auto& pending : parent->pending) {
      if (pending->done) continue;
      if (pending->receivers.size() >= kMaxReceivers) {
        child->doubts.mark_unidentified(pending->time_ns, pending->kind);
        continue;
      }
      pending->receivers.push_back({child, How::kFork});
      child->pending.push_back(pending);
    }
  }
  insert(child);
  if (!child->holdings.empty()) mark_dirty(child);
  return Done::kAbsorbed;
}

void Engine::carry_over_exec(Instance& next, const Instance& before) {
  // Keys of the old program are kept as "lost" for one exec only: they support `possible` at most, and what a container runtime or a
  // login service held three programs ago would name keys to half of the node's processes.
  for (const Held& held : before.holdings) {
    if (held.how == How::kLostAtExec || held.how == How::kHelper) continue;
    const bool again = std::ranges::any_of(next.holdings, [&](const Held& own) { return own.what->key.id == held.what->key.id; });
    if (again || next.holdings.size() >= options_.max_holdings) continue;
    Held lost = held;
    lost.how = How::kLostAtExec;
    lost.dirty = true;
    next.holdings.push_back(std::move(lost));
  }
}

Engine::Done Engine::on_exec(const ExecEvent& event, const EventHead& head, const ProcessRef& who) {
  const InstanceRef before = find_live(head.who);
  auto next = std::make_shared<Instance>();
  next->id = head.who;
  next->process = who;
  next->program = catalog_.match_program(event.exe, event.filename);
  const bool seen = !head.baseline && (armed_ns_ == 0 || head.time_ns >= armed_ns_);
  next->doubts = Doubts::of_new_program(head.time_ns, seen, !event.env_truncated && !event.args_truncated);

  const std::string owner = who && who->workload ? who->workload->name : std::string();
  std::vector<FoundKey> found = keys_of_environment(event.env, catalog_, owner);
  for (const FoundKey& key : found)
    index_.learn(key.key);
  bool recorded = hold_environment(next, found, head.time_ns, How::kExec, before.get());
  found = keys_of_arguments(event.args, catalog_, index_);
  recorded = hold_environment(next, found, head.time_ns, How::kExec, before.get()) || recorded;

  if (before) {
    carry_over_exec(*next, *before);
    for (const auto& pending : before->pending) {
      if (pending->done || pending->receivers.size() >= kMaxReceivers) continue;
      pending->receivers.push_back({next, How::kLostAtExec});
      next->pending.push_back(pending);
    }
  }
  if (next->program != nullptr && (next->program->helper || next->program->late_key)) {
    const InstanceId& id = event.parent.tgid != 0 ? event.parent : (who ? who->parent : InstanceId{});
    next->parent = find_live(id);
    // git runs its helper through a shell: the caller is one further up.
    if (next->parent && is_shell(*next->parent) && next->parent->process) {
      if (const InstanceRef caller = find_live(next->parent->process->parent)) next->parent = caller;
    }
    // git's own helpers are git again ("git credential-store"): for git alone.
    if (!next->program->helper && next->parent && next->parent->program != next->program) next->parent = nullptr;
  }
  insert(next);
  if (!next->holdings.empty()) mark_dirty(next);
  if (event.env_truncated) ask_environment(next, head.time_ns);
  return recorded ? Done::kRecorded : Done::kAbsorbed;
}

Engine::Done Engine::on_exit(const EventHead& head) {
  if (const InstanceRef instance = find_live(head.who)) {
    end(instance);
    if (instance->held_uses > 0) judge_ready(last_event_ns_);
  }
  return Done::kAbsorbed;
}

Engine::Done Engine::on_task(const EventHead& head, const ProcessRef& who) {
  // Its fork or exec came through the hooks while the sweep ran, or it was adopted: that knows more.
  if (const InstanceRef known = find_live(head.who); known && known->doubts.exec_seen) return Done::kAbsorbed;
  const InstanceRef instance = instance_of(head.who, who);
  if (!instance || instance->environment_asked) return Done::kAbsorbed;
  ask_environment(instance, instance->doubts.life_from_ns != 0 ? instance->doubts.life_from_ns : head.time_ns);
  return Done::kAbsorbed;
}

void Engine::adopt(const Holding& holding, const ProcessRef& who) {
  const InstanceRef instance = instance_of(holding.actor.id, who);
  if (!instance) return;
  if (const auto life = lives_.find(life_name(instance->id)); life != lives_.end()) {
    apply_life(*instance, life->second);
    instance->doubts.weaken_by_restart();
    instance->stored_life = life->second;
    lives_.erase(life);
  }
  auto what = std::make_shared<HeldKey>();
  what->key = holding.key;
  what->slot = holding.slot;
  const std::int64_t since = holding.since_ns - clock_.to_wall(0);
  what->since_ns = since > 0 ? static_cast<std::uint64_t>(since) : 1;
  what->issued = holding.slot.from == From::kIssued;
  what->broker = holding.slot.from == From::kBroker;
  apply_entry(*what, instance->stored_life);
  if (holding.slot.from == From::kFile) {
    if (const catalog::File* entry = catalog_.match_file(holding.slot.place)) {
      what->selector_rule = entry->selector;
      KnownFile& file = slots_.file(Slots::container_of(*instance), holding.slot.place);
      file.format = entry->format;
      file.kind = entry->kind;
      if (!file.keys.contains(holding.slot.selector) && !holding.slot_changed) file.keys[holding.slot.selector] = holding.key.id;
    }
  }
  How how = How::kDirect;
  for (const How one : {How::kFork, How::kExec, How::kBaseline, How::kHelper, How::kLostAtExec}) {
    if (holding.how == to_string(one)) how = one;
  }
  index_.learn(what->key);
  (void)acquisitions_.is_news(*instance, what->key, what->slot);  // it was a row of an earlier run
  if (Held* held = hold(instance, std::move(what), how)) {
    held->last_use_ns = holding.last_use_ns;
    held->slot_changed = holding.slot_changed;
    held->announced = true;
    held->dirty = false;
  }
  instance->synced = true;
  // Its selectors and destinations: the sweep does not bring the environment.
  if (!instance->environment_asked) ask_environment(instance, std::max<std::uint64_t>(instance->doubts.life_from_ns, 1));
}

}  // namespace keytrail::link
