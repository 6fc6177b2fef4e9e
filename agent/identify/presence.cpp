// SPDX-License-Identifier: Apache-2.0
// Part of Identify: how a process came to where it is: by which login, and in whose namespaces.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/base/program_name.h"
#include "agent/catalog/script.h"
#include "agent/identify/identify.h"

namespace keytrail::identify {
namespace {

constexpr std::uint32_t kNoSession = UINT32_MAX;
constexpr std::size_t kMostSwitches = 4;  // of one process that are told, the first ones

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
                                                       {"atd", LoginBy::kAt}}};

constexpr std::string_view kMcpServer = "MCP server";

// Another program than `was` ran: after an exec, or in a child whose parent was first seen running its own.
bool is_another_program(const Process& process, const Process* was) {
  if (was == nullptr || was->id == process.id) return false;
  return was->id.same_process(process.id) || was->exe != process.exe;
}

// SSH_CONNECTION is "CLIENT PORT SERVER PORT"; whatever is no address is not shown.
std::string ssh_client(const Process& process) {
  const EnvItem* item = process.find_env("SSH_CONNECTION");
  if (item == nullptr) return {};
  std::string from = item->value.substr(0, item->value.find(' '));
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  const bool is_address =
      ::inet_pton(AF_INET, from.c_str(), bytes.data()) == 1 || ::inet_pton(AF_INET6, from.c_str(), bytes.data()) == 1;
  return is_address ? from : std::string();
}

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
  process.login_from = nullptr;
  if (process.session_id == kNoSession || was == nullptr) return;
  if (was->session_id == process.session_id) {
    process.login_by = was->login_by;
    process.login_from = was->login_from;
  } else {
    const std::string_view program = base::base_name(was->exe);
    for (const LoginProgram& one : kLoginPrograms) {
      if (one.name == program) process.login_by = one.by;
    }
  }
  if (process.login_from || process.login_by != LoginBy::kSsh) return;
  if (std::string from = ssh_client(process); !from.empty())
    process.login_from = std::make_shared<const std::string>(std::move(from));
}

// Who starts programs as others (sudo, su) adds a step to what it was started as; what runs on inherits it.
void Identify::note_switch(Process& process, const Process* was) {
  process.acts_as = was == nullptr ? nullptr : was->acts_as;
  if (!is_another_program(process, was)) return;
  const catalog::Role* role = catalog::Catalog::builtin().match_role(was->exe, {}, {});
  if (role == nullptr || role->role != catalog::ProgramRole::kSwitchesUser) return;
  std::string steps = process.acts_as ? *process.acts_as + ", " : "";
  if (std::ranges::count(steps, ',') >= static_cast<std::ptrdiff_t>(kMostSwitches)) return;
  steps.append(process.account->user).append(" by ").append(base::base_name(was->exe));
  process.acts_as = std::make_shared<const std::string>(std::move(steps));
}

// Of agents the first in a line counts: what it starts acts for it, other agents too. A tool of agents was started by
// one, whether that is known or not.
void Identify::note_role(Process& process, const Process* was) {
  process.agent = was == nullptr ? nullptr : was->agent;
  process.distributor = was == nullptr ? nullptr : was->distributor;
  if (was != nullptr && !is_another_program(process, was)) return;
  process.distributor = nullptr;
  const catalog::Role* role = catalog::Catalog::builtin().match_role(process.exe, process.filename, process.script);
  if (role == nullptr) return;
  const auto title = [&] { return std::make_shared<const std::string>(role->title); };
  switch (role->role) {
    case catalog::ProgramRole::kDistributor:
      process.distributor = title();
      break;
    case catalog::ProgramRole::kCodingAgent:
      if (!process.agent || *process.agent == kMcpServer) process.agent = title();
      break;
    case catalog::ProgramRole::kMcpServer:
      if (!process.agent) process.agent = title();
      break;
    case catalog::ProgramRole::kSwitchesUser:
      break;
  }
}

// The kernel side goes by the thread's name, which for a `#!` program is the script's: what follows is that program's
// own then. Of who is older than the agent its own word is all there is.
void Identify::note_script(Process& process) const {
  const catalog::Interpreter* runs = catalog::interpreter_named(base::base_name(process.exe));
  const std::string_view passed = base::base_name(process.filename);
  if (process.origin == Origin::kBaseline) {
    process.script = runs == nullptr ? "" : proc_.script(process.id.tgid, process.id.start_ns, *runs);
    return;
  }
  const std::string program = base::program_name(process.exe, process.filename);  // of a multi-call binary the applet
  if (runs == nullptr) runs = catalog::interpreter_named(program);
  if (runs == nullptr || catalog::interpreter_named(passed) != runs) process.script.clear();
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
  if (process.id.tgid == 1 && process.mnt_ns != 0) host_mnt_ns_ = process.mnt_ns;
  if (host_mnt_ns_ == 0 || process.mnt_ns == 0 || process.mnt_ns == host_mnt_ns_ || !is_container(*process.workload) ||
      process.namespaces_of || mount_owners_.contains(process.mnt_ns) || is_shared(process.mnt_ns, *process.workload)) {
    return;
  }
  mount_owners_.emplace(process.mnt_ns, process.workload);
}

// A runtime may have mounts of its own (a snap's): what it starts is in the container's cgroup first, and in the
// runtime's mounts still. Unknown namespaces count as shared.
bool Identify::is_shared(std::uint32_t mnt_ns, const Workload& owner) const {
  const auto there = mounts_.find(mnt_ns);
  return there == mounts_.end() || std::ranges::any_of(there->second, [&](const auto& one) {
           const auto life = lives_.find(Key{one.second, one.first});
           return life != lives_.end() && !are_together(*life->second.current->workload, owner);
         });
}

void Identify::leave_mounts(const Process& process) {
  const auto it = mounts_.find(process.mnt_ns);
  if (it == mounts_.end()) return;
  it->second.erase({process.id.start_ns, process.id.tgid});
  if (!it->second.empty()) {  // one of somebody else's has gone: those who stay may be all of one workload now
    const auto& [start, tgid] = *it->second.begin();
    const auto stays = lives_.find(Key{tgid, start});
    if (stays != lives_.end() && !are_together(*stays->second.current->workload, *process.workload))
      own_mounts(*stays->second.current);
    return;
  }
  mounts_.erase(it);
  mount_owners_.erase(process.mnt_ns);  // its number comes again
}

}  // namespace keytrail::identify
