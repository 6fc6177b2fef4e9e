// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/workload_resolver.h"

#include <algorithm>

#include "agent/base/program_name.h"
#include "agent/base/workload_facts.h"
#include "agent/identify/cgroup_path.h"
#include "agent/identify/ci_job.h"

namespace keytrail::identify {
namespace {

constexpr std::size_t kMaxAccounts = 20'000;
constexpr std::uint32_t kUnset = UINT32_MAX;

std::string program_of(const Process& process) {
  return base::program_name(process.exe, process.filename, process.comm);
}

// The path down to the directory that makes the workload: what lies below it, a delegate may rename at will.
std::string own_path(const std::string& cgroup, const std::string& name) {
  const std::size_t at = name.empty() ? std::string::npos : cgroup.find(name);
  return at == std::string::npos ? cgroup : cgroup.substr(0, cgroup.find('/', at));
}

}  // namespace

/// What a process belongs to by the kernel's word: the id, and how to tell its facts when the id is new.
struct WorkloadResolver::Place {
  std::string id;
  WorkloadKind kind = WorkloadKind::kHost;
  std::vector<Fact> facts;

  Place& add(const char* name, std::string value, KnownBy known_by = KnownBy::kKernel) {
    if (!value.empty()) facts.push_back({name, std::move(value), known_by});
    return *this;
  }
};

void WorkloadResolver::resolve(Process& process, const std::string& cgroup, const CgroupMakers& makers) {
  process.workload = workload_of(process, cgroup, makers);
  process.account = account_of(process);
  claim(process);
}

void WorkloadResolver::claim(Process& process) {
  std::string job = ci_job_name(process.env);
  if (job.empty()) return;
  // A label: who it is stays what the kernel says, for a variable may be set by anybody.
  const std::string id = process.workload->id;
  table_.learn({id, {{fact::kCiJob, std::move(job), KnownBy::kClaimed}}});
  if (auto told = table_.find(id)) process.workload = std::move(told);
}

std::string WorkloadResolver::name_of(const std::string& cgroup, const CgroupMakers& makers) {
  if (cgroup.empty() || cgroup == "/") return {};
  const Place place = place_of(Process(), cgroup, makers);
  if (place.kind == WorkloadKind::kHost) return "cgroup " + cgroup;
  if (const auto known = table_.find(place.id)) return known->name;
  return base::shown_name(place.kind, place.facts).text;
}

std::shared_ptr<const Workload> WorkloadResolver::workload_of(const Process& process, const std::string& cgroup,
                                                              const CgroupMakers& makers) {
  Place place = place_of(process, cgroup, makers);
  auto known = table_.find(place.id);
  if (!known) return table_.make(std::move(place.id), place.kind, place.facts);
  // What was only claimed (a path of /proc) the kernel may bear out later.
  const bool better = std::ranges::any_of(place.facts, [&](const Fact& now) {
    const Fact* had = known->find(now.name);
    return had != nullptr && now.known_by < had->known_by;
  });
  if (!better) return known;
  table_.learn({place.id, std::move(place.facts)});
  auto told = table_.find(place.id);
  return told ? told : known;
}

WorkloadResolver::Place WorkloadResolver::place_of(const Process& process, const std::string& cgroup,
                                                   const CgroupMakers& makers) {
  const CgroupPlace at = parse_cgroup_path(cgroup, makers);
  // Whose a name is /proc does not say: the same workload, but nobody has borne it out.
  const KnownBy known_by = makers.known ? at.known_by : KnownBy::kClaimed;
  Place out{.id = {}, .kind = at.kind, .facts = {}};
  // What somebody else than root made is that one's word: it must never pass for what root made under the same name.
  const std::string owner = at.known_by == KnownBy::kClaimed ? std::to_string(at.user) + "/" : std::string();
  switch (at.kind) {
    case WorkloadKind::kPod:
      out.id = "pod:" + at.pod_uid + (at.container.empty() ? "" : "/" + at.container);
      return out.add(fact::kPodUid, at.pod_uid, known_by)
          .add(fact::kContainerId, at.container, known_by)
          .add(fact::kCgroup, own_path(cgroup, at.container));
    case WorkloadKind::kContainer:
      out.id = "container:" + owner + at.container;
      return out.add(fact::kContainerId, at.container, known_by).add(fact::kCgroup, own_path(cgroup, at.container));
    case WorkloadKind::kSystemdUnit:
      out.id = "unit:" + owner + at.unit;
      if (!owner.empty()) out.add(fact::kUnitOwner, users_.name(at.user));
      return out.add(fact::kUnit, at.unit, known_by).add(fact::kCgroup, own_path(cgroup, at.unit));
    default:
      break;
  }
  // A session is a person: its number comes again after the next boot, and a desktop has a scope for each program
  // started.
  if (process.login_uid != kUnset || at.kind == WorkloadKind::kLoginSession) {
    const std::uint32_t uid = process.login_uid != kUnset ? process.login_uid : at.user;
    out.id = "user:" + std::to_string(uid);
    out.kind = WorkloadKind::kLoginSession;
    return out.add(fact::kPerson, users_.name(uid));
  }
  // Nothing has named this directory: the program says what it is for, and the directory whose it is. A comm is
  // whatever the process says.
  const bool claimed = process.exe.empty();
  const std::string program = program_of(process);
  const bool root = cgroup.empty() || cgroup == "/";
  out.id = (root ? "host:" : "cgroup:" + cgroup + ":") + (claimed ? "comm/" : "") + program;
  out.add(fact::kProgram, program, claimed ? KnownBy::kClaimed : KnownBy::kKernel);
  return out.add(fact::kCgroup, cgroup);
}

std::shared_ptr<const Account> WorkloadResolver::account_of(const Process& process) {
  const WorkloadKind kind = process.workload->kind;
  const bool own_users = kind == WorkloadKind::kPod || kind == WorkloadKind::kContainer;
  Account account{.user = own_users && process.uid != 0 ? std::to_string(process.uid) : users_.name(process.uid),
                  .login_user = {}};
  if (process.login_uid != kUnset) {
    account.login_user = users_.name(process.login_uid);
  } else if (kind == WorkloadKind::kLoginSession) {
    account.login_user = process.workload->value(fact::kPerson);
  }
  std::string key = account.user + '\0' + account.login_user;
  if (const auto it = accounts_.find(key); it != accounts_.end()) return it->second;
  if (accounts_.size() >= kMaxAccounts) accounts_.clear();  // processes keep theirs; only sharing is lost
  return accounts_.emplace(std::move(key), std::make_shared<const Account>(std::move(account))).first->second;
}

}  // namespace keytrail::identify
