// SPDX-License-Identifier: Apache-2.0
#include "agent/link/processes.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "agent/base/program_name.h"
#include "agent/base/workload_facts.h"

namespace keytrail::link {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kMaxReceivers = 256;  ///< of one answer
constexpr std::size_t kMaxInherited = 256;  ///< answers that a fork waits for
constexpr std::size_t kMaxChildren = 32;

}  // namespace

bool is_shell(const Instance& instance) {
  if (!instance.process) return false;
  const std::string_view name = base::base_name(instance.process->exe);
  static constexpr std::array kShells{"sh"sv, "dash"sv, "bash"sv, "busybox"sv, "zsh"sv, "xargs"sv, "parallel"sv};
  return std::ranges::find(kShells, name) != kShells.end();
}

std::string variable_owner(const Instance& instance) {
  if (!instance.process || !instance.process->workload) return {};
  const Workload& workload = *instance.process->workload;
  if (workload.kind == WorkloadKind::kLoginSession) return workload.id.substr(0, workload.id.find('/'));  // whose agent
  if (workload.kind != WorkloadKind::kHost) return workload.id;
  const std::string_view cgroup = workload.value(fact::kCgroup);
  return cgroup.empty() || cgroup == "/" ? "host" : "cgroup:" + std::string(cgroup);
}

InstanceRef Processes::find_live(const InstanceId& id) const {
  const auto it = live_.find(id.tgid);
  return it != live_.end() && it->second->id.same_process(id) ? it->second : nullptr;
}

void Processes::insert(const InstanceRef& instance) {
  const auto it = live_.find(instance->id.tgid);
  if (it != live_.end()) {
    end(it->second);  // its exit was missed, or it was replaced by an exec
  } else if (live_.size() >= options_.max_processes) {
    // Not kept: whatever it does is weighed as that of a process whose start was not seen.
    outbox_.give_up("processes_over_bound", {}, workload_name(instance->process), 1,
                    std::max({instance->doubts.life_from_ns, instance->id.start_ns, watch_.armed_ns}));
    not_followed_.insert(instance->id.tgid);
    return;
  }
  if (!not_followed_.empty()) not_followed_.erase(instance->id.tgid);
  live_[instance->id.tgid] = instance;
}

/// What it has, as whom it has it now.
void Processes::show_again(const InstanceRef& instance) {
  if (instance->holdings.empty()) return;
  for (Held& held : instance->holdings.change())
    held.dirty = true;
  holders_.mark_dirty(instance);
}

void Processes::end(
    InstanceRef instance) {  // NOLINT(performance-unnecessary-value-param): the table's own reference goes
  instance->alive = false;
  instance->parent = nullptr;
  const auto it = live_.find(instance->id.tgid);
  if (it != live_.end() && it->second == instance) live_.erase(it);
  holders_.mark_dirty(instance);
}

InstanceRef Processes::instance_of(const InstanceId& id, const ProcessRef& who) {
  if (id.tgid == 0) return nullptr;
  const ProcessRef process = who && who->id == id ? who : nullptr;
  const auto it = live_.find(id.tgid);
  if (it != live_.end()) {
    const InstanceRef& known = it->second;
    if (known->id == id) {
      if (process && process != known->process) {
        const ProcessRef was = known->process;
        known->set(process);
        // Who has a key is shown as the user that it is now.
        if (was && was->credentials() != process->credentials()) show_again(known);
        note_entry(*known, was.get(), known->entered);
      }
      return known;
    }
    // An event of an earlier process or program that comes late: it gets an instance of its own, which nobody finds
    // again.
    const bool late =
        id.start_ns < known->id.start_ns || (id.start_ns == known->id.start_ns && id.exec < known->id.exec);
    if (late) {
      auto passing = std::make_shared<Instance>();
      passing->id = id;
      passing->set(process);
      passing->alive = false;
      return passing;
    }
  }
  // Neither fork nor exec was seen: nothing may be inferred of it.
  auto fresh = std::make_shared<Instance>();
  fresh->id = id;
  fresh->set(process);
  fresh->doubts.life_from_ns = process ? process->exec_ns : 0;
  if (process) fresh->program = catalog_.match_program(process->exe, process->filename);
  const InstanceRef before = find_live(id);
  note_entry(*fresh, before ? before->process.get() : nullptr, before ? before->entered : 0);
  if (before) holders_.carry_over_exec(*fresh, *before);
  insert(fresh);
  find_relatives(fresh);
  return fresh;
}

void Processes::find_relatives(const InstanceRef& fresh) {
  if (!fresh->process) return;
  const InstanceId& parent_id = fresh->process->parent;
  if (const InstanceRef parent = find_live(parent_id))
    note_child(*parent, fresh->id.tgid);
  else if (!watch_.swept && children_of_later_.size() < options_.max_processes)
    children_of_later_.emplace(parent_id.tgid, fresh->id.tgid);
  const auto [first, last] = children_of_later_.equal_range(fresh->id.tgid);
  for (auto child = first; child != last; ++child)
    note_child(*fresh, child->second);
  children_of_later_.erase(first, last);
}

void Processes::on_fork(const ForkEvent& event, const EventHead& head, const ProcessRef& parent_process,
                        const ProcessRef& child_process) {
  const InstanceRef parent = instance_of(head.who, parent_process);
  auto child = std::make_shared<Instance>();
  child->id = event.child;
  child->doubts.life_from_ns = head.time_ns;
  if (parent) child->cgroups = parent->cgroups;
  child->set(child_process);  // whose room its keys take depends on it
  if (parent) {
    child->program = parent->program;
    child->doubts = parent->doubts.inherit();
    child->baseline_env = parent->baseline_env;
    child->hides_address = parent->hides_address && parent->baseline_env.empty();
    holders_.inherit(*child, parent, head.time_ns);
    inherit_pending(child, *parent);
    child->stdin_pipe = parent->stdin_pipe;
    child->channel = parent->channel;
    note_child(*parent, child->id.tgid);
  }
  note_entry(*child, parent ? parent->process.get() : nullptr, parent ? parent->entered : 0);
  insert(child);
  if (!child->holdings.empty()) holders_.mark_dirty(child);
}

void Processes::note_child(Instance& parent, std::uint32_t tgid) const {
  std::vector<std::uint32_t>& children = parent.children;
  std::erase(children, tgid);
  if (children.size() >= kMaxChildren) {
    std::erase_if(children, [&](std::uint32_t one) { return !live_.contains(one); });
    if (children.size() >= kMaxChildren) children.erase(children.begin());
  }
  children.push_back(tgid);
}

/// What the parent opened and is not identified yet becomes the child's, too.
void Processes::inherit_pending(const InstanceRef& child, const Instance& parent) {
  for (const auto& pending : parent.pending) {
    if (pending->done) continue;
    if (pending->receivers.size() >= kMaxReceivers || child->pending.size() >= kMaxInherited) {
      child->doubts.mark_unidentified(pending->time_ns, pending->kinds);
      continue;
    }
    pending->receivers.push_back({child, How::kFork});
    child->pending.push_back(pending);
  }
}

/// What the program before opened and is not identified yet will be lost to this one.
void Processes::lose_pending(const InstanceRef& next, const Instance& before) {
  for (const auto& pending : before.pending) {
    if (pending->done) continue;
    if (pending->receivers.size() >= kMaxReceivers || next->pending.size() >= kMaxInherited) {
      // As with what was read: only what this process itself opened may be open still.
      if (pending->time_ns > next->id.start_ns) next->doubts.mark_unidentified(pending->time_ns, pending->kinds);
      continue;
    }
    pending->receivers.push_back({next, How::kLostAtExec});
    next->pending.push_back(pending);
  }
}

/// What this process itself opened before the exec may be open still: `program < secret`. Of one exec, as with keys.
void Processes::keep_open(Instance& next, const Instance& before) {
  const std::uint64_t since_ns = std::max(before.id.start_ns, before.doubts.life_from_ns);
  for (const Unidentified& mark : before.doubts.unidentified) {
    if (mark.latest_ns() > since_ns) next.doubts.mark_unidentified(mark);
  }
}

std::pair<InstanceRef, Done> Processes::on_exec(const ExecEvent& event, const EventHead& head, const ProcessRef& who) {
  const InstanceRef before = find_live(head.who);
  auto next = std::make_shared<Instance>();
  next->id = head.who;
  next->set(who);
  next->program = catalog_.match_program(event.exe, event.filename);
  const bool seen = !head.baseline && (watch_.armed_ns == 0 || head.time_ns >= watch_.armed_ns);
  next->doubts = Doubts::of_new_program(head.time_ns, seen, !event.env_truncated && !event.args_truncated);
  if (event.args_truncated) next->doubts.mark_cut(head.time_ns);  // the environment is asked for again

  note_entry(*next, before ? before->process.get() : nullptr, before ? before->entered : 0);
  std::vector<FoundKey> found = keys_of_environment(event.env, catalog_, variable_owner(*next));
  next->untold = std::erase_if(found, [](const FoundKey& one) { return one.told; }) > 0;
  next->hides_address = hides_address(event.env, catalog_);
  for (const FoundKey& key : found)
    index_.learn(key.key);
  bool recorded = holders_.hold_found(next, found, head.time_ns, How::kExec, before.get());
  if (!event.arguments_wait()) {  // else its answer says more of the same keys
    found = keys_of_arguments(event.args, catalog_, index_);
    recorded = holders_.hold_found(next, found, head.time_ns, How::kExec, before.get()) || recorded;
  }

  if (before) {
    holders_.carry_over_exec(*next, *before);
    lose_pending(next, *before);
    keep_open(*next, *before);
  }
  if (next->program != nullptr && (next->program->helper || next->program->late_key)) {
    find_caller_of_helper(*next, event.parent.tgid != 0 ? event.parent : (who ? who->parent : InstanceId{}));
  }
  insert(next);
  if (!next->holdings.empty()) holders_.mark_dirty(next);
  return {next, recorded ? Done::kRecorded : Done::kAbsorbed};
}

void Processes::note_entry(Instance& instance, const Process* was, std::uint32_t entered) {
  const Process* process = instance.process.get();
  if (process == nullptr || !process->workload) return;
  const Workload& own = *process->workload;
  if (own.kind != WorkloadKind::kContainer && own.kind != WorkloadKind::kPod) return;
  if (was != nullptr && was->workload && (was->workload == process->workload || was->workload->id == own.id)) {
    instance.entered = entered;
    return;
  }
  // The first that is seen in a container runs it; whoever comes from outside later has entered it. Of what the sweep
  // found nobody saw where it came from.
  const bool came = process->origin == Origin::kExecSeen || process->origin == Origin::kForkSeen;
  const auto [first, fresh] = containers_.get(process->cgroup_id);
  if (fresh) *first = came && runs_already(own, process->id.tgid) ? 0 : process->id.tgid;
  instance.entered = came && *first != process->id.tgid ? process->id.tgid : 0;
}

// Where cgroups v1 and v2 are both in use, a process is moved into them one after the other: who is seen on its way has
// another cgroup id than the rest of its container. Only of ids that a runtime of root's has drawn: the next container
// may have the name of the one before, and who may make cgroups of any name must not make us look through all.
bool Processes::runs_already(const Workload& container, std::uint32_t but) const {
  const Fact* id = container.find(fact::kContainerId);
  if (id == nullptr || !base::is_drawn_id(id->value) || id->known_by == KnownBy::kClaimed) return false;
  return std::ranges::any_of(live_, [&](const auto& one) {
    const Process* process = one.second->process.get();
    return one.first != but && process != nullptr && process->workload && process->workload->id == container.id;
  });
}

void Processes::find_caller_of_helper(Instance& helper, const InstanceId& parent) const {
  helper.parent = find_live(parent);
  // git runs its helper through a shell: the caller is one further up.
  if (helper.parent && is_shell(*helper.parent) && helper.parent->process) {
    if (const InstanceRef caller = find_live(helper.parent->process->parent)) helper.parent = caller;
  }
  // git's own helpers are git again ("git credential-store"): for git alone.
  if (!helper.program->helper && helper.parent && helper.parent->program != helper.program) helper.parent = nullptr;
}

InstanceRef Processes::on_exit(const EventHead& head) {
  InstanceRef instance = find_live(head.who);
  if (instance) {
    // Whoever starts many programs is asked for its children at each call of its own.
    const InstanceRef parent = instance->process ? find_live(instance->process->parent) : nullptr;
    if (parent) std::erase(parent->children, instance->id.tgid);
    end(instance);
  }
  if (!not_followed_.empty()) not_followed_.erase(head.who.tgid);
  return instance;
}

}  // namespace keytrail::link
