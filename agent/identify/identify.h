// SPDX-License-Identifier: Apache-2.0
// Third stage: the process table. Gives each event its process instance and workload. In: decoded events in time order.
// Out: Identified, for link. Thread: the pipeline's only. A Process is immutable: what is learnt later is published as
// a new object under the same instance. A PID is never an identity: instances are (tgid, start, exec), and what /proc
// says counts only where the start agrees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "agent/base/fair_queue.h"
#include "agent/base/system_clock.h"
#include "agent/identify/cgroup_path.h"
#include "agent/identify/proc_reader.h"
#include "agent/identify/workload_resolver.h"
#include "keytrail/event.h"
#include "keytrail/identity_source.h"
#include "keytrail/process.h"

namespace keytrail::identify {

struct IdentifyOptions {
  std::string proc_root = "/proc";
  std::string passwd_path = "/etc/passwd";
  /// Shared by directories of cgroups, cgroups and users (base::FairShares): one of all three alone gets a quarter.
  std::size_t max_processes = 200'000;
  /// Over half of max_processes: who alone has so many leaves room for the cgroups of others.
  std::size_t max_cgroups = 150'000;
  /// For events that come after the exit, and after an exec for those from before it.
  std::uint64_t keep_exited_ns = 10'000'000'000;
  /// A flood of unknown processes must not turn into a flood of opens. A cgroup may read as long as it has had less
  /// than what is left of this second: one alone half of it.
  std::uint32_t max_proc_reads_per_s = 1'000;
  std::size_t max_workloads = 20'000;
  std::function<std::int64_t()> wall_ns = [] { return base::SystemClock().wall_ns(); };  ///< since when a fact is known
};

struct IdentifyStats {
  std::size_t live = 0, exited = 0;    ///< in the table now
  std::uint64_t forks = 0, execs = 0;  ///< seen
  std::uint64_t inferred = 0;          ///< processes that an event named first
  std::uint64_t inferred_bare = 0;     ///< of them, those of which /proc said nothing (gone, or over the limit)
  std::uint64_t evicted = 0;           ///< exited ones dropped early, for newer ones of the same cgroup and user
  std::uint64_t not_stored = 0;        ///< not kept: their cgroup and user have too many live ones
  std::uint64_t found_gone = 0;        ///< live ones whose exit was not seen
  /// Names of empty cgroups that were dropped: who comes into one is the host's until the kernel side names it again.
  std::uint64_t cgroups_forgotten = 0;
};

struct Identified {
  /// The event's process; null where it has none (tgid 0, socket events of strangers, heartbeats, losses).
  ProcessRef who;
  /// Fork: the child. exec: the instance before it, null when it was not known. Else null.
  ProcessRef child_or_previous;
};

class Identify {
 public:
  explicit Identify(IdentifyOptions options = {});
  Identify(const Identify&) = delete;
  Identify& operator=(const Identify&) = delete;

  /// Takes the event into the table and says who it is about. Fork, exec, exit, task and cgroup events change the
  /// table; every other event of an unknown process makes an inferred one. Socket events come in any task's context:
  /// their process is looked up, never made.
  Identified on_event(const Event& event);

  /// This very instance, or null. Exited and replaced ones for about 10 s.
  [[nodiscard]] ProcessRef find(const InstanceId& id) const;
  /// The instance that this PID is now (or was last), or null.
  [[nodiscard]] ProcessRef latest(std::uint32_t tgid) const;
  /// `call(const ProcessRef&)` for the current instance of every live process; it must not call back into this object.
  template <typename F>
  void for_each_live(F&& call) const {
    for (const auto& [key, life] : lives_) {
      if (life.exited_ns == 0) call(life.current);
    }
  }
  /// Live processes of a mount namespace, the oldest first (they are the likeliest to live on): PIDs to open through.
  [[nodiscard]] std::vector<std::uint32_t> same_mount_ns(std::uint32_t mnt_ns, std::size_t max) const;
  /// One live process of it is known, and no other.
  [[nodiscard]] bool is_alone(std::uint32_t mnt_ns) const;
  /// The variables of a process that ran before the agent, from the examiner: published as a new object, the workload
  /// resolved again. Null when unknown.
  ProcessRef learn_environment(const InstanceId& id, std::vector<EnvItem> env, bool truncated);
  /// Frees what exited or was replaced more than 10 s before `now_boot_ns`, and looks at some live processes whose exit
  /// may have been missed: a 32nd of all, 4 to 64. Call about once a second.
  void expire(std::uint64_t now_boot_ns);
  /// What a source posted. Processes keep the workload they were published with: later ones get the new one, and the
  /// history joins facts by the id.
  void learn_facts(WorkloadFacts facts) { workloads_.learn(std::move(facts)); }
  /// The names of the node's users by number. The first thousand processes that run have them at once, the rest with
  /// each `renew_some`, so that events do not wait for all: call that every turn.
  void learn_users(UserNames::Names names);
  void renew_some();
  /// Facts that were news since the last call.
  [[nodiscard]] std::vector<WorkloadFacts> take_facts() { return workloads_.take_news(); }
  /// Workloads that were seen for the first time since the last call, or in a new cgroup of the same name, each with a
  /// process of it.
  [[nodiscard]] std::vector<WorkloadSeen> take_first_seen() { return std::exchange(first_seen_, {}); }
  [[nodiscard]] const WorkloadStats& workload_stats() const { return workloads_.stats(); }
  [[nodiscard]] std::size_t workloads_known() const { return workloads_.size(); }
  [[nodiscard]] IdentifyStats stats() const;
  /// What bounds turned away since the last call, by cause and the name of the workload that it concerns (empty: of
  /// several): "processes_unread" (/proc was not read, its cgroup had read too often), "processes_not_kept" (what later
  /// events name is inferred anew), "cgroups_not_kept" (who is in them is not known), "workloads_over_bound".
  using GivenUp = std::map<std::pair<std::string, std::string>, std::uint64_t>;
  [[nodiscard]] GivenUp take_given_up();
  /// The name of the workload in a cgroup: "backup.service", "cgroup /jobs" where its path names none. Empty: it is not
  /// known, or the root's.
  [[nodiscard]] std::string workload_in(std::uint64_t cgroup_id);
  /// Process::cgroup_owner of whoever is in there.
  [[nodiscard]] std::uint64_t owner_of_cgroup(std::uint64_t cgroup_id) const;
  /// The name of a workload that is known, else the id.
  [[nodiscard]] std::string workload_name(const std::string& id) const { return workloads_.name_of(id); }

 private:
  static constexpr std::size_t kMaxUnresolved = 10'000;
  static constexpr std::size_t kRenewed = 1'000;
  static constexpr std::size_t kMaxGivenUp = 256;  // causes and workloads that are told apart
  static constexpr std::size_t kMaxResolved = 256;
  static constexpr std::size_t kMaxEarlier = 64;  // execs of one process within 10 s that late events may still name
  struct Key {
    std::uint32_t tgid = 0;
    std::uint64_t start_ns = 0;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      return std::hash<std::uint64_t>{}((std::uint64_t{key.tgid} << 40U) ^ key.start_ns);
    }
  };
  /// One process from fork to exit, whatever programs it runs.
  struct Life {
    ProcessRef current;
    std::vector<ProcessRef> earlier;  // before an exec, for late events
    std::uint64_t exited_ns = 0;      // 0 = lives
    base::Owners owner{};             // who has `room`
    base::FairShares::Share room;
  };
  struct CgroupName {
    std::string path;
    CgroupMakers makers;
    std::uint64_t directory = 0;  // what its cgroups share as one owner
    std::size_t processes = 0;    // of the table, that are in it
    bool told = false;            // of its container the sources were told
  };
  struct Replaced {
    std::uint64_t at_ns;
    InstanceId id;
  };
  /// Where a process belongs, as the resolver said within this second: so does one that is alike.
  struct Resolved {
    Process like;
    std::string cgroup;
    CgroupMakers makers;
  };

  Identified on_fork(const EventHead& head, const ForkEvent& fork);
  Identified on_exec(const EventHead& head, const ExecEvent& exec);
  Identified on_task(const EventHead& head, const ExecEvent& exec);
  void on_cgroup(const CgroupEvent& cgroup);
  ProcessRef known_or_inferred(const EventHead& head);
  ProcessRef follow_changes(const EventHead& head, ProcessRef process, std::uint32_t mnt_ns);
  void set_users(Process& process, const Credentials& users, std::uint64_t time_ns);

  // infer.cpp: making processes
  [[nodiscard]] Process from_exec(const EventHead& head, const ExecEvent& exec, Origin origin) const;
  ProcessRef infer(const EventHead& head);
  ProcessRef infer_earlier(const InstanceId& id, Life& life, std::uint64_t time_ns);
  /// False when its cgroup has read too often.
  bool fill_from_proc(Process& process, std::uint64_t time_ns, std::string& cgroup);
  /// Its workload; one that is new is noted with this process.
  void resolve(Process& process, const std::string& cgroup, const CgroupMakers& makers);
  ProcessRef finish(Process&& process, const std::string& cgroup_of_proc = {});
  void note_next_container(CgroupName& cgroup, const Process& process);

  // presence.cpp: how a process came to where it is
  [[nodiscard]] const Process* before(const Process& process) const;
  static void note_login(Process& process, const Process* was);
  static void note_switch(Process& process, const Process* was);
  static void note_role(Process& process, const Process* was);
  void note_script(Process& process) const;
  void note_namespaces(Process& process, const Process* was);
  void own_mounts(const Process& process);
  [[nodiscard]] bool is_shared(std::uint32_t mnt_ns, const Workload& owner) const;
  void leave_mounts(const Process& process);

  Life* life_of(const InstanceId& id);
  [[nodiscard]] const Life* life_of(const InstanceId& id) const;
  [[nodiscard]] static Key key_of(const InstanceId& id) { return {id.tgid, id.start_ns}; }
  bool store(const ProcessRef& process, std::uint64_t time_ns);
  [[nodiscard]] base::Owners owner_of(const Process& process) const;
  base::FairShares::Share make_room(const base::Owners& owner);
  void follow_owner(Life& life, const Process& process);
  void count_in_cgroup(std::uint64_t cgroup_id, bool more);
  void await_name(std::uint64_t cgroup_id);
  CgroupName* cgroup_named(const CgroupEvent& cgroup);
  void give_up(const char* cause, const std::string& workload);
  void replace_current(Life& life, ProcessRef process, std::uint64_t time_ns);
  void publish(Life& life, ProcessRef process);
  void mark_exited(const Key& key, Life& life, std::uint64_t time_ns);
  void erase(const Key& key);
  void look_for_gone(std::uint64_t now_boot_ns);

  IdentifyOptions options_;
  ProcReader proc_;
  WorkloadTable workloads_;
  WorkloadResolver resolver_;
  IdentifyStats stats_;
  std::unordered_map<Key, Life, KeyHash> lives_;
  std::unordered_map<std::uint32_t, std::uint64_t> latest_;  // tgid → start
  // mnt_ns → (start, tgid) of live ones.
  std::unordered_map<std::uint32_t, std::set<std::pair<std::uint64_t, std::uint32_t>>> mounts_;
  std::unordered_map<std::uint32_t, std::shared_ptr<const Workload>> mount_owners_;  // mnt_ns → whose it is
  /// Process 1's; where the machine shows it to nobody, the first kernel thread's. 0: not known yet.
  std::uint32_t host_mnt_ns_ = 0;
  base::FairShares room_;
  std::map<base::Owners, std::deque<std::pair<std::uint64_t, Key>>> exited_;  // of each owner by time of exit
  std::deque<Replaced> replaced_;                                             // by time of exec
  std::unordered_map<std::uint64_t, CgroupName> cgroups_;                     // by id
  std::unordered_set<std::uint64_t> unresolved_;  // ids that processes have and no event has named yet
  std::size_t cursor_ = 0;                        // of look_for_gone, in buckets of latest_
  std::uint64_t proc_second_ = 0;
  std::uint32_t proc_reads_ = 0;
  std::unordered_map<std::uint64_t, std::uint32_t> proc_reads_of_;  // by cgroup, in this second
  std::unordered_map<std::size_t, Resolved> resolved_;
  GivenUp given_up_;
  std::vector<WorkloadSeen> first_seen_;
  std::vector<Key> to_renew_;  // of processes whose users may be called otherwise now
};

}  // namespace keytrail::identify
