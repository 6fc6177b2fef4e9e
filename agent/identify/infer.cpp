// SPDX-License-Identifier: Apache-2.0
// Part of Identify: making a Process, from an exec or from what can still be learnt of one that nobody introduced.
#include <functional>
#include <string_view>
#include <tuple>
#include <utility>

#include "agent/identify/identify.h"

namespace keytrail::identify {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

/// In all that the resolver may look at, but for the variables.
bool is_alike(const Process& a, const Process& b) {
  const auto seen = [](const Process& one) {
    return std::tie(one.exe, one.filename, one.comm, one.script, one.exe_file, one.uid, one.gid, one.login_uid,
                    one.session_id, one.mnt_ns, one.pid_ns, one.net_ns, one.cgroup_id, one.agent);
  };
  return seen(a) == seen(b);
}

/// Equal for those that are alike.
std::size_t likeness(const Process& process) {
  const std::hash<std::string_view> hash;
  return hash(process.exe) ^ (hash(process.filename) << 1U) ^ std::hash<std::uint64_t>{}(process.cgroup_id << 2U);
}

}  // namespace

Process Identify::from_exec(const EventHead& head, const ExecEvent& exec, Origin origin) const {
  return {.id = head.who,
          .parent = exec.parent,
          .exe = exec.exe,
          .filename = exec.filename,
          .comm = exec.comm,
          .script = exec.script,
          .exe_file = exec.exe_file,
          .uid = exec.uid,
          .gid = exec.gid,
          .login_uid = exec.login_uid,
          .session_id = exec.session_id,
          .mnt_ns = exec.mnt_ns,
          .pid_ns = exec.pid_ns,
          .net_ns = exec.net_ns,
          .cgroup_id = head.cgroup_id,
          .exec_ns = head.time_ns,
          .origin = origin,
          .tty = exec.tty,
          .env_truncated = exec.env_truncated,
          .env = exec.env,
          .args = exec.args};
}

// Gives the process its workload and makes it immutable. The kernel's path wins over what /proc said a moment later.
// Most programs are started again and again.
void Identify::resolve(Process& process, const std::string& cgroup, const CgroupMakers& makers) {
  const std::size_t name = likeness(process);
  const auto known = resolved_.find(name);
  if (known != resolved_.end() && is_alike(process, known->second.like) && known->second.cgroup == cgroup &&
      known->second.makers == makers &&
      workloads_.find(known->second.like.workload->id) == known->second.like.workload) {
    process.workload = known->second.like.workload;
    process.account = known->second.like.account;
    return resolver_.claim(process);
  }
  resolver_.resolve(process, cgroup, makers);
  if (known == resolved_.end() && resolved_.size() >= kMaxResolved) resolved_.clear();
  Resolved& now = resolved_[name] = {.like = process, .cgroup = cgroup, .makers = makers};
  now.like.env = {};
  now.like.args = {};
  for (auto& made : workloads_.take_made())
    first_seen_.push_back({std::move(made), {.who = process.id, .mnt_ns = process.mnt_ns, .same_mount_ns = {}}});
}

// An id may come again (names that people give), in a cgroup of its own: it is asked about as one that is new.
void Identify::note_next_container(CgroupName& cgroup, const Process& process) {
  if (cgroup.told) return;
  const Workload& own = *process.workload;
  const bool container = own.kind == WorkloadKind::kPod || own.kind == WorkloadKind::kContainer;
  if (!container || own.value(fact::kCgroup) != cgroup.path) return;
  cgroup.told = true;
  if (first_seen_.empty() || first_seen_.back().workload->id != own.id)
    first_seen_.push_back({process.workload, {.who = process.id, .mnt_ns = process.mnt_ns, .same_mount_ns = {}}});
}

ProcessRef Identify::finish(Process&& process, const std::string& cgroup_of_proc) {
  const auto it = cgroups_.find(process.cgroup_id);
  process.cgroup_owner = it == cgroups_.end() ? 0 : it->second.directory;
  const Process* const was = before(process);
  note_role(process, was);
  if (it == cgroups_.end()) {
    await_name(process.cgroup_id);
    resolve(process, cgroup_of_proc, {.known = false});
    // The kernel side tells a name once: it may be one of those that there was no room for.
    if (stats_.cgroups_forgotten > 0 && process.cgroup_id != 0) give_up("cgroups_not_kept", process.workload->name);
  } else {
    resolve(process, it->second.path, it->second.makers);
    note_next_container(it->second, process);
  }
  note_login(process, was);
  note_switch(process, was);
  note_namespaces(process, was);
  return std::make_shared<const Process>(std::move(process));
}

bool Identify::fill_from_proc(Process& process, std::uint64_t time_ns, std::string& cgroup) {
  if (time_ns / kSecond != proc_second_) {
    proc_second_ = time_ns / kSecond;
    proc_reads_ = 0;
    proc_reads_of_.clear();
  }
  std::uint32_t& of_cgroup = proc_reads_of_[process.cgroup_id];
  const bool allowed = of_cgroup < options_.max_proc_reads_per_s - proc_reads_;
  if (allowed) {
    ++proc_reads_;
    ++of_cgroup;
  }
  const auto facts = allowed ? proc_.read(process.id.tgid, process.id.start_ns) : std::nullopt;
  if (!facts) {
    ++stats_.inferred_bare;
    return allowed;
  }
  process.comm = facts->comm;
  process.uid = facts->uid;
  process.gid = facts->gid;
  process.login_uid = facts->login_uid;
  process.session_id = facts->session_id;
  process.tty = facts->tty;
  cgroup = facts->cgroup;
  if (process.parent.tgid == 0) {
    if (const ProcessRef parent = latest(facts->parent_tgid); parent && parent->id.start_ns <= process.id.start_ns)
      process.parent = parent->id;
  }
  return true;
}

// A process that no fork, exec or sweep has introduced: those events were lost, or it was never swept.
ProcessRef Identify::infer(const EventHead& head) {
  ++stats_.inferred;
  Process process{
      .id = head.who, .cgroup_id = head.cgroup_id, .exec_ns = head.who.start_ns, .origin = Origin::kInferred};
  if (const Life* life = life_of(head.who); life != nullptr) {
    // The same process runs a program whose exec was lost: namespaces and parent outlive an exec, nothing else does.
    process.parent = life->current->parent;
    process.mnt_ns = life->current->mnt_ns;
    process.pid_ns = life->current->pid_ns;
    process.net_ns = life->current->net_ns;
    process.exec_ns = head.time_ns;
  }
  std::string cgroup;
  const bool allowed = fill_from_proc(process, head.time_ns, cgroup);
  if (head.users) process.set(*head.users);  // /proc is of a moment later, or says nothing at all
  ProcessRef made = finish(std::move(process), cgroup);
  if (!allowed) give_up("processes_unread", made->workload->name);
  return made;
}

// An event from before an exec whose instance is no longer kept: who it was is known, what it ran is not.
ProcessRef Identify::infer_earlier(const InstanceId& id, Life& life, std::uint64_t time_ns) {
  ++stats_.inferred;
  ++stats_.inferred_bare;
  Process process = *life.current;
  process.id = id;
  process.exe.clear();
  process.filename.clear();
  process.comm.clear();
  process.script.clear();
  process.exe_file = {};
  process.env.clear();
  process.args.clear();
  process.exec_ns = id.start_ns;
  process.origin = Origin::kInferred;
  ProcessRef made = finish(std::move(process));
  if (life.earlier.size() < kMaxEarlier) {
    life.earlier.push_back(made);
    replaced_.push_back({time_ns, id});
  }
  return made;
}

void Identify::learn_users(UserNames::Names names) {
  if (!resolver_.learn_users(std::move(names))) return;
  resolved_.clear();
  to_renew_.clear();
  for (const auto& [key, life] : lives_) {
    if (life.exited_ns == 0) to_renew_.push_back(key);
  }
  renew_some();
}

void Identify::renew_some() {
  for (std::size_t left = kRenewed; left > 0 && !to_renew_.empty(); --left) {
    const auto it = lives_.find(to_renew_.back());
    to_renew_.pop_back();
    if (it == lives_.end() || it->second.exited_ns != 0) continue;
    Process process = *it->second.current;
    if (const auto named = cgroups_.find(process.cgroup_id); named != cgroups_.end())
      resolve(process, named->second.path, named->second.makers);
    else
      resolver_.renew_users(process);
    publish(it->second, std::make_shared<const Process>(std::move(process)));
  }
}

}  // namespace keytrail::identify
