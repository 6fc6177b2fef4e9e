// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/identify.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <string_view>
#include <utility>

namespace keytrail::identify {
namespace {

constexpr std::size_t kLooks = 64;  // at processes, each time
constexpr std::uint32_t kFirstKernelThread = 2;
constexpr std::uint64_t kSettledNs = 2'000'000'000;

CgroupMakers makers_of(const CgroupEvent& cgroup) { return {.claimed = cgroup.claimed, .owner = cgroup.owner}; }

// Exec numbers wrap: the distance decides.
bool older_exec(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

}  // namespace

Identify::Identify(IdentifyOptions options)
    : options_(std::move(options)),
      proc_(options_.proc_root),
      workloads_(options_.max_workloads, options_.wall_ns),
      resolver_(options_.passwd_path, workloads_),
      room_(options_.max_processes) {}

Identified Identify::on_event(const Event& event) {
  const EventHead& head = event.head;
  if (const auto* cgroup = std::get_if<CgroupEvent>(&event.body)) {
    on_cgroup(*cgroup);
    return {};
  }
  if (head.who.tgid == 0 || head.who.start_ns == 0) return {};
  if (const auto* fork = std::get_if<ForkEvent>(&event.body)) return on_fork(head, *fork);
  if (const auto* exec = std::get_if<ExecEvent>(&event.body)) return on_exec(head, *exec);
  if (const auto* task = std::get_if<TaskEvent>(&event.body)) return on_task(head, task->exec);
  if (std::holds_alternative<SocketEvent>(event.body)) return {.who = find(head.who)};
  if (std::holds_alternative<HeartbeatEvent>(event.body) || std::holds_alternative<BaselineDoneEvent>(event.body) ||
      std::holds_alternative<LossEvent>(event.body)) {
    return {};
  }
  ProcessRef who = known_or_inferred(head);
  if (std::holds_alternative<ExitEvent>(event.body)) {
    if (Life* life = life_of(head.who)) mark_exited(key_of(head.who), *life, head.time_ns);
    return {.who = std::move(who)};
  }
  // Payloads and DNS answers may carry the cgroup of an earlier moment (the connect, the question): they move nobody.
  if (std::holds_alternative<PayloadEvent>(event.body) || std::holds_alternative<DnsEvent>(event.body))
    return {.who = std::move(who)};
  const auto* open = std::get_if<OpenEvent>(&event.body);
  return {.who = follow_changes(head, std::move(who), open == nullptr ? 0 : open->mnt_ns)};
}

ProcessRef Identify::known_or_inferred(const EventHead& head) {
  if (Life* life = life_of(head.who)) {
    if (life->current->id == head.who) return life->current;
    for (const ProcessRef& earlier : life->earlier) {
      if (earlier->id == head.who) return earlier;
    }
    if (older_exec(head.who.exec, life->current->id.exec)) return infer_earlier(head.who, *life, head.time_ns);
  }
  ProcessRef made = infer(head);
  store(made, head.time_ns);
  return made;
}

// A process may move to another cgroup or mount namespace without an exec (a login, a container's start, unshare), and
// go on as another user (a daemon that drops root).
ProcessRef Identify::follow_changes(const EventHead& head, ProcessRef process, std::uint32_t mnt_ns) {
  const bool moved = head.cgroup_id != 0 && head.cgroup_id != process->cgroup_id;
  const bool remounted = mnt_ns != 0 && mnt_ns != process->mnt_ns;
  const bool changed_users = head.users && *head.users != process->credentials();
  if (!moved && !remounted && !changed_users) return process;
  Life* life = life_of(head.who);
  const bool current = life != nullptr && life->current == process;
  if (!current && !changed_users) return process;
  Process changed = *process;
  if (changed_users) set_users(changed, *head.users, head.time_ns);
  // An event from before an exec, or of a process that found no place in the table: it was that user then.
  if (!current) return std::make_shared<const Process>(std::move(changed));
  if (moved) changed.cgroup_id = head.cgroup_id;
  if (remounted) changed.mnt_ns = mnt_ns;
  if (remounted && !moved) note_namespaces(changed, process.get());
  ProcessRef made = moved ? finish(std::move(changed)) : std::make_shared<const Process>(std::move(changed));
  publish(*life, made);
  return made;
}

// A login makes another person of it, so its workload may be another: where nothing named its cgroup.
void Identify::set_users(Process& process, const Credentials& users, std::uint64_t time_ns) {
  process.former = {process.credentials(), process.account, time_ns};
  const bool logged_in = process.login_uid != users.login_uid;
  process.set(users);
  if (const auto it = cgroups_.find(process.cgroup_id); logged_in && it != cgroups_.end())
    resolve(process, it->second.path, it->second.makers);
  else
    resolver_.renew_account(process);
}

Identified Identify::on_fork(const EventHead& head, const ForkEvent& fork) {
  ++stats_.forks;
  ProcessRef parent = follow_changes(head, known_or_inferred(head), 0);
  if (fork.child.tgid == 0 || fork.child.start_ns == 0) return {.who = std::move(parent)};
  // An event of the child that overtook its fork made it an inferred one; one that has run a program meanwhile needs
  // nothing from here.
  if (Life* life = life_of(fork.child);
      life != nullptr && (life->current->id != fork.child || life->current->origin != Origin::kInferred)) {
    return {.who = std::move(parent), .child_or_previous = find(fork.child)};
  }
  Process child = *parent;
  child.id = fork.child;
  child.parent = parent->id;
  child.exec_ns = head.time_ns;
  child.origin = Origin::kForkSeen;
  ProcessRef made = std::make_shared<const Process>(std::move(child));
  store(made, head.time_ns);
  return {.who = std::move(parent), .child_or_previous = std::move(made)};
}

Identified Identify::on_exec(const EventHead& head, const ExecEvent& exec) {
  ++stats_.execs;
  const Life* life = life_of(head.who);
  ProcessRef previous = life == nullptr || life->current->id == head.who ? nullptr : life->current;
  Process process = from_exec(head, exec, Origin::kExecSeen);
  note_script(process);
  // Most programs get the variables of who started them: kept once.
  if (previous && std::ranges::equal(previous->env, process.env)) process.env = previous->env;
  ProcessRef made = finish(std::move(process));
  store(made, head.time_ns);
  return {.who = std::move(made), .child_or_previous = std::move(previous)};
}

// What hooks have seen is newer and richer than what the sweep finds.
Identified Identify::on_task(const EventHead& head, const ExecEvent& exec) {
  if (head.who.tgid == kFirstKernelThread) {  // no process of anybody's
    if (host_mnt_ns_ == 0) host_mnt_ns_ = exec.mnt_ns;
    return {};
  }
  if (const Life* life = life_of(head.who)) {
    const Process& current = *life->current;
    if (current.id == head.who && current.origin != Origin::kInferred) return {.who = life->current};
    if (older_exec(head.who.exec, current.id.exec)) return {.who = find(head.who)};
  }
  Process process = from_exec(head, exec, Origin::kBaseline);
  process.exec_ns = head.who.start_ns;  // when its program began is not known: not before its start
  note_script(process);
  ProcessRef made = finish(std::move(process));
  store(made, head.time_ns);
  return {.who = std::move(made)};
}

void Identify::on_cgroup(const CgroupEvent& cgroup) {
  if (cgroup.cgroup_id == 0) return;
  const bool full = unresolved_.size() >= kMaxUnresolved;  // then not all are in it
  const bool awaited = unresolved_.erase(cgroup.cgroup_id) != 0 || full;
  const bool known = cgroups_.contains(cgroup.cgroup_id);
  CgroupName* const named = cgroup_named(cgroup);
  if (named == nullptr) return give_up("cgroups_not_kept", resolver_.name_of(cgroup.path, makers_of(cgroup)));
  const bool renamed = known && (named->path != cgroup.path || named->makers != makers_of(cgroup));  // or given away
  named->path = cgroup.path;
  named->makers = makers_of(cgroup);
  named->directory = std::hash<std::string_view>{}(directory_of_owner(cgroup.path, cgroup.claimed));
  if (!awaited && !renamed) return;
  named->processes = 0;
  if (full) unresolved_.clear();  // of most of them no process lives any more: else each new name costs a look at all
  for (auto& [key, life] : lives_) {
    if (life.current->cgroup_id != cgroup.cgroup_id) {
      if (full) await_name(life.current->cgroup_id);
      continue;
    }
    ++named->processes;
    publish(life, finish(Process(*life.current)));
    if (life.exited_ns == 0) own_mounts(*life.current);  // the kernel side names a cgroup behind its first event
  }
}

void Identify::await_name(std::uint64_t cgroup_id) {
  if (cgroup_id != 0 && unresolved_.size() < kMaxUnresolved && !cgroups_.contains(cgroup_id))
    unresolved_.insert(cgroup_id);
}

// Null: there are too many in which processes are.
Identify::CgroupName* Identify::cgroup_named(const CgroupEvent& cgroup) {
  if (const auto it = cgroups_.find(cgroup.cgroup_id); it != cgroups_.end()) return &it->second;
  if (cgroups_.size() >= options_.max_cgroups)
    stats_.cgroups_forgotten += std::erase_if(cgroups_, [](const auto& entry) { return entry.second.processes == 0; });
  return cgroups_.size() >= options_.max_cgroups ? nullptr : &cgroups_[cgroup.cgroup_id];
}

void Identify::count_in_cgroup(std::uint64_t cgroup_id, bool more) {
  const auto it = cgroups_.find(cgroup_id);
  if (it == cgroups_.end()) return;
  std::size_t& processes = it->second.processes;
  processes = more ? processes + 1 : std::max<std::size_t>(processes, 1) - 1;
}

std::string Identify::workload_in(std::uint64_t cgroup_id) {
  const auto it = cgroups_.find(cgroup_id);
  return it == cgroups_.end() ? std::string() : resolver_.name_of(it->second.path, it->second.makers);
}

std::uint64_t Identify::owner_of_cgroup(std::uint64_t cgroup_id) const {
  const auto it = cgroups_.find(cgroup_id);
  return it == cgroups_.end() ? 0 : it->second.directory;
}

ProcessRef Identify::learn_environment(const InstanceId& id, std::vector<EnvItem> env, bool truncated) {
  Life* life = life_of(id);
  if (life == nullptr || life->current->id != id) return nullptr;
  Process process = *life->current;
  process.env = std::move(env);
  process.env_truncated = truncated;
  note_login(process, life->current.get());  // it may say where its session came from
  resolver_.claim(process);
  ProcessRef made = std::make_shared<const Process>(std::move(process));
  publish(*life, made);
  return made;
}

ProcessRef Identify::find(const InstanceId& id) const {
  const Life* life = life_of(id);
  if (life == nullptr) return nullptr;
  if (life->current->id == id) return life->current;
  const auto it = std::find_if(life->earlier.begin(), life->earlier.end(),
                               [&](const ProcessRef& earlier) { return earlier->id == id; });
  return it == life->earlier.end() ? nullptr : *it;
}

ProcessRef Identify::latest(std::uint32_t tgid) const {
  const auto it = latest_.find(tgid);
  if (it == latest_.end()) return nullptr;
  const auto life = lives_.find(Key{tgid, it->second});
  return life == lives_.end() ? nullptr : life->second.current;
}

std::vector<std::uint32_t> Identify::same_mount_ns(std::uint32_t mnt_ns, std::size_t max) const {
  std::vector<std::uint32_t> out;
  const auto it = mounts_.find(mnt_ns);
  if (mnt_ns == 0 || it == mounts_.end()) return out;
  for (const auto& [start, tgid] : it->second) {
    if (out.size() == max) break;
    out.push_back(tgid);
  }
  return out;
}

bool Identify::is_alone(std::uint32_t mnt_ns) const {
  const auto it = mounts_.find(mnt_ns);
  return it != mounts_.end() && it->second.size() == 1;
}

Identify::Life* Identify::life_of(const InstanceId& id) {
  const auto it = lives_.find(key_of(id));
  return it == lives_.end() ? nullptr : &it->second;
}

const Identify::Life* Identify::life_of(const InstanceId& id) const {
  const auto it = lives_.find(key_of(id));
  return it == lives_.end() ? nullptr : &it->second;
}

// Puts the process into the table. False when there is no room for it: the caller's object is all there is then.
bool Identify::store(const ProcessRef& process, std::uint64_t time_ns) {
  const Key key = key_of(process->id);
  if (Life* life = life_of(process->id)) {
    replace_current(*life, process, time_ns);
    if (life->current == process) own_mounts(*process);  // a program that begins settles whose its namespace is
    return true;
  }
  const base::Owners owner = owner_of(*process);
  base::FairShares::Share room = make_room(owner);
  if (!room) {
    ++stats_.not_stored;
    give_up("processes_not_kept", process->workload->name);
    return false;
  }
  // Two processes cannot have one PID: the earlier one's exit was missed.
  if (const auto before = latest_.find(key.tgid); before != latest_.end() && before->second < key.start_ns) {
    const Key old{key.tgid, before->second};
    if (const auto it = lives_.find(old); it != lives_.end() && it->second.exited_ns == 0) {
      ++stats_.found_gone;
      mark_exited(old, it->second, time_ns);
    }
  }
  Life& life = lives_[key];
  life.current = process;
  life.owner = owner;
  life.room = std::move(room);
  count_in_cgroup(process->cgroup_id, true);
  std::uint64_t& start = latest_[key.tgid];
  start = std::max(start, key.start_ns);
  ++stats_.live;
  if (process->mnt_ns != 0) mounts_[process->mnt_ns].emplace(key.start_ns, key.tgid);
  own_mounts(*process);
  return true;
}

void Identify::replace_current(Life& life, ProcessRef process, std::uint64_t time_ns) {
  if (life.current->id == process->id) {
    publish(life, std::move(process));
    return;
  }
  ProcessRef& other = older_exec(process->id.exec, life.current->id.exec) ? process : life.current;
  replaced_.push_back({time_ns, other->id});
  if (life.earlier.size() >= kMaxEarlier) life.earlier.erase(life.earlier.begin());
  life.earlier.push_back(other);
  if (&other == &life.current) publish(life, std::move(process));
}

void Identify::publish(Life& life, ProcessRef process) {
  if (life.exited_ns == 0 && life.current->mnt_ns != process->mnt_ns) {
    leave_mounts(*life.current);
    if (process->mnt_ns != 0) mounts_[process->mnt_ns].emplace(process->id.start_ns, process->id.tgid);
  }
  follow_owner(life, *process);
  life.current = std::move(process);
}

base::Owners Identify::owner_of(const Process& process) const {
  const auto it = cgroups_.find(process.cgroup_id);
  return {it == cgroups_.end() ? process.cgroup_id : it->second.directory, process.cgroup_id, process.uid};
}

// One that moves is its new owner's, where that has room.
void Identify::follow_owner(Life& life, const Process& process) {
  if (life.current->cgroup_id != process.cgroup_id) {
    count_in_cgroup(life.current->cgroup_id, false);
    count_in_cgroup(process.cgroup_id, true);
  }
  const base::Owners owner = owner_of(process);
  if (owner == life.owner || life.exited_ns != 0) return;
  auto room = room_.take(owner);
  if (!room) return;
  life.room = std::move(room);
  life.owner = owner;
}

// Whoever has too much gives up its own that have exited, the oldest first; nobody else's.
base::FairShares::Share Identify::make_room(const base::Owners& owner) {
  auto room = room_.take(owner);
  const auto own = room ? exited_.end() : exited_.find(owner);
  while (!room && own != exited_.end() && !own->second.empty()) {
    ++stats_.evicted;
    erase(own->second.front().second);
    own->second.pop_front();
    room = room_.take(owner);
  }
  if (own != exited_.end() && own->second.empty()) exited_.erase(own);
  return room;
}

void Identify::give_up(const char* cause, const std::string& workload) {
  std::pair name(std::string(cause), workload);
  if (given_up_.size() >= kMaxGivenUp && !given_up_.contains(name)) name.second.clear();
  ++given_up_[std::move(name)];
}

Identify::GivenUp Identify::take_given_up() {
  for (const auto& [workload, count] : workloads_.take_turned_away())
    given_up_[{"workloads_over_bound", workload}] += count;
  return std::exchange(given_up_, {});
}

void Identify::mark_exited(const Key& key, Life& life, std::uint64_t time_ns) {
  if (life.exited_ns != 0) return;
  life.exited_ns = std::max<std::uint64_t>(time_ns, 1);
  exited_[life.owner].emplace_back(life.exited_ns, key);
  --stats_.live;
  ++stats_.exited;
  leave_mounts(*life.current);
}

// Only exited ones are erased.
void Identify::erase(const Key& key) {
  const auto life = lives_.find(key);
  if (life == lives_.end()) return;
  count_in_cgroup(life->second.current->cgroup_id, false);
  lives_.erase(life);
  --stats_.exited;
  if (const auto it = latest_.find(key.tgid); it != latest_.end() && it->second == key.start_ns) latest_.erase(it);
}

void Identify::expire(std::uint64_t now_boot_ns) {
  resolved_.clear();  // users get other names, and what nobody refers to any more is given up
  const auto due = [&](std::uint64_t time_ns) {
    return time_ns <= now_boot_ns - std::min(now_boot_ns, options_.keep_exited_ns);
  };
  for (auto own = exited_.begin(); own != exited_.end();) {
    auto& queue = own->second;
    for (; !queue.empty() && due(queue.front().first); queue.pop_front())
      erase(queue.front().second);
    own = queue.empty() ? exited_.erase(own) : std::next(own);
  }
  while (!replaced_.empty() && due(replaced_.front().at_ns)) {
    const InstanceId id = replaced_.front().id;
    replaced_.pop_front();
    if (Life* life = life_of(id))
      std::erase_if(life->earlier, [&](const ProcessRef& earlier) { return earlier->id == id; });
  }
  look_for_gone(now_boot_ns);
}

// When exit events were lost, processes would stay for ever: a few are looked up each time, round and round.
void Identify::look_for_gone(std::uint64_t now_boot_ns) {
  if (latest_.empty()) return;
  std::size_t looks = 0;
  for (std::size_t buckets = 0; buckets < latest_.bucket_count() && looks < kLooks; ++buckets) {
    cursor_ = (cursor_ + 1) % latest_.bucket_count();
    for (auto it = latest_.begin(cursor_); it != latest_.end(cursor_); ++it) {
      const Key key{it->first, it->second};
      const auto life = lives_.find(key);
      if (life == lives_.end() || life->second.exited_ns != 0 || key.start_ns + kSettledNs > now_boot_ns) continue;
      ++looks;
      if (proc_.alive(key.tgid, key.start_ns) != ProcReader::Alive::kNo) continue;
      ++stats_.found_gone;
      mark_exited(key, life->second, now_boot_ns);
    }
  }
}

IdentifyStats Identify::stats() const { return stats_; }

}  // namespace keytrail::identify
