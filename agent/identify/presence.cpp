// SPDX-License-Identifier: Apache-2.0
// Part of Identify: how a process came to where it is: by which login, and in whose namespaces.
#include <array>
#include <utility>

#include "agent/base/program_name.h"
#include "agent/identify/identify.h"

namespace keytrail::identify {
namespace {

constexpr std::uint32_t kNoSession = UINT32_MAX;

struct LoginProgram {
  std::string_view name;
  LoginBy by;
};
constexpr std::array<LoginProgram, 15> kLoginPrograms{{{"sshd", LoginBy::kSsh},
                                                       {"sshd-session", LoginBy::kSsh},
                                                       {"dropbear", LoginBy::kSsh},
                                                       {"tailscaled", LoginBy::kSsh},
                                                       {"teleport", LoginBy::kSsh},
                                                       {"login", LoginBy::kConsole},
                                                       {"gdm-session-worker", LoginBy::kDesktop},
                                                       {"sddm-helper", LoginBy::kDesktop},
                                                       {"lightdm", LoginBy::kDesktop},
                                                       {"greetd", LoginBy::kDesktop},
                                                       {"xrdp-sesman", LoginBy::kDesktop},
                                                       {"cron", LoginBy::kSchedule},
                                                       {"crond", LoginBy::kSchedule},
                                                       {"anacron", LoginBy::kSchedule},
                                                       {"atd", LoginBy::kSchedule}}};

bool is_container(const Workload& workload) {
  return workload.kind == WorkloadKind::kContainer || workload.kind == WorkloadKind::kPod;
}

// Containers of a pod may share what they like.
bool are_together(const Workload& a, const Workload& b) {
  const std::string_view pod = a.value(fact::kPodUid);
  return a.id == b.id || (!pod.empty() && pod == b.value(fact::kPodUid));
}

// The uid and the id are the cgroup's: no namespace is better known than they.
KnownBy known_by(const Workload& container) {
  const Fact* id = container.find(container.kind == WorkloadKind::kPod ? fact::kPodUid : fact::kContainerId);
  return id == nullptr ? KnownBy::kClaimed : id->known_by;
}

}  // namespace

// What it was before: its program before the exec, itself before a move, else its parent. Null: not known.
const Process* Identify::before(const Process& process) const {
  if (const Life* life = life_of(process.id)) return life->current.get();
  const Life* parent = life_of(process.parent);
  return parent == nullptr ? nullptr : parent->current.get();
}

// Only who may log others in gives a new session number; what runs in one inherits how it began.
void Identify::note_login(Process& process, const Process* was) {
  process.login_by = LoginBy::kUnknown;
  if (process.session_id == kNoSession || was == nullptr) return;
  if (was->session_id == process.session_id) {
    process.login_by = was->login_by;
    return;
  }
  const std::string_view program = base::base_name(was->exe);
  for (const LoginProgram& one : kLoginPrograms) {
    if (one.name == program) process.login_by = one.by;
  }
}

// A container's mount namespace is that of the first program that is seen in both. Of a container's own processes only
// those are elsewhere that were in it before: a runtime joins the cgroup first and the namespaces then.
void Identify::note_namespaces(Process& process, const Process* was) {
  process.namespaces_of = nullptr;
  if (process.mnt_ns == 0 || !process.workload || !cgroups_.contains(process.cgroup_id)) return;
  const Workload& own = *process.workload;
  const auto owner = mount_owners_.find(process.mnt_ns);
  const bool host = process.mnt_ns == host_mnt_ns_;
  if (!host && (owner == mount_owners_.end() || are_together(*owner->second, own))) return;
  if (is_container(own)) {
    const auto was_in = was == nullptr ? mount_owners_.end() : mount_owners_.find(was->mnt_ns);
    const bool inside = was != nullptr && was->workload && are_together(*was->workload, own);
    const bool left = was_in != mount_owners_.end() && are_together(*was_in->second, own);
    if (!inside || (!left && !was->namespaces_of)) return;
  } else if (host) {
    return;
  }
  const std::string name = host ? "host" : workloads_.name_of(owner->second->id);
  const bool same = was != nullptr && was->namespaces_of && *was->namespaces_of == name;
  process.namespaces_of = same ? was->namespaces_of : std::make_shared<const std::string>(name);
  workloads_.learn({own.id, {{fact::kNamespacesOf, name, host ? KnownBy::kKernel : known_by(*owner->second)}}});
  if (auto told = workloads_.find(own.id)) process.workload = std::move(told);
}

void Identify::own_mounts(const Process& process) {
  if (process.id.tgid == 1) host_mnt_ns_ = process.mnt_ns;
  if (host_mnt_ns_ == 0 || process.mnt_ns == 0 || process.mnt_ns == host_mnt_ns_ || !is_container(*process.workload) ||
      process.namespaces_of || !mounts_.contains(process.mnt_ns)) {
    return;
  }
  mount_owners_.try_emplace(process.mnt_ns, process.workload);
}

void Identify::leave_mounts(const Process& process) {
  const auto it = mounts_.find(process.mnt_ns);
  if (it == mounts_.end()) return;
  it->second.erase({process.id.start_ns, process.id.tgid});
  if (!it->second.empty()) return;
  mounts_.erase(it);
  mount_owners_.erase(process.mnt_ns);  // its number comes again
}

}  // namespace keytrail::identify
