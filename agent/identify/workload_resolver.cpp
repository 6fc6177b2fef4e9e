// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/workload_resolver.h"

#include <algorithm>

#include "agent/base/program_name.h"
#include "agent/base/workload_facts.h"
#include "agent/identify/cgroup_path.h"
#include "agent/identify/ci_job.h"
#include "agent/identify/otel_service.h"

namespace keytrail::identify {
namespace {

constexpr std::size_t kMaxAccounts = 20'000;
constexpr std::uint32_t kUnset = UINT32_MAX;

// The path down to the directory that makes the workload: what lies below it, a delegate may rename at will.
std::string own_path(const std::string& cgroup, const CgroupPlace& at) {
  return at.length == 0 ? cgroup : cgroup.substr(0, at.length);
}

// What somebody else than root made is that one's word: it must never pass for what root made under the same name.
std::string owner_of(const CgroupPlace& at) {
  std::string out;
  if (at.known_by == KnownBy::kClaimed && at.user != kUnset) out = std::to_string(at.user) + "/";
  if (!at.outer_runtime.empty()) out += at.outer_runtime + "/";
  if (!at.outer_container.empty()) out += at.outer_container + "/";
  return out;
}

bool is_number(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

/// What a process belongs to by the kernel's word: the id, and how to tell its facts when the id is new.
struct WorkloadResolver::Place {
  std::string id;
  WorkloadKind kind = WorkloadKind::kHost;
  std::vector<Fact> facts;
  std::string owner;  ///< who may have made many like it

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
  std::vector<Fact> said = ci_job_facts(process.env);
  // What programs of one workload call themselves differs: the first counts, or each exec would be news.
  const auto is_known = [&](const Fact& one) {
    return std::ranges::any_of(process.workload->facts, [&](const Fact& known) {
      return known.name == one.name && known.known_by == one.known_by;
    });
  };
  const Fact agent{fact::kAgent, process.agent ? *process.agent : std::string(), KnownBy::kClaimed};
  if (process.agent && !is_known(agent)) said.push_back(agent);
  if (auto service = otel_service_name(process); service && !is_known(*service)) said.push_back(*std::move(service));
  if (said.empty()) return;
  // A label: who it is stays what the kernel says, for a variable may be set by anybody.
  const std::string id = process.workload->id;
  table_.learn({id, std::move(said)});
  if (auto told = table_.find(id)) process.workload = std::move(told);
}

// A person is one by the login, not by a cgroup.
void WorkloadResolver::renew_users(Process& process) {
  const std::string id = process.workload->id;
  if (process.workload->kind == WorkloadKind::kLoginSession && process.login_uid != kUnset) {
    if (const std::string& name = users_.name(process.login_uid); !is_number(name))
      table_.learn({id, {{fact::kPerson, name, KnownBy::kKernel}}});
    if (auto told = table_.find(id)) process.workload = std::move(told);
  }
  renew_account(process);
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
  if (!known) return table_.make(std::move(place.id), place.kind, place.facts, place.owner);
  // What was only claimed (a path of /proc) the kernel may bear out later; a unit may start its container anew; the
  // node's users may be learnt later.
  const bool better = std::ranges::any_of(place.facts, [&](const Fact& now) {
    const Fact* had = known->find(now.name);
    if (had == nullptr || now.known_by < had->known_by) return true;
    if (now.known_by != had->known_by || now.value == had->value) return false;
    // A number that has a name by now; of who has none any more the last name stays.
    const bool user = now.name == fact::kPerson || now.name == fact::kUnitOwner;
    return (user && !is_number(now.value)) ||
           (place.kind == WorkloadKind::kSystemdUnit && now.name == fact::kContainerId);
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
  Place out{.id = {}, .kind = at.kind, .facts = {}, .owner = {}};
  const std::string owner = owner_of(at);
  const auto made = [&](std::string_view kind, std::string_view name) {
    out.id.append(kind).append(owner).append(at.runtime).append(at.runtime.empty() ? "" : "/").append(name);
    // Of "unit:1000/x.service" that user, of "pod:UID/CONTAINER" the pod, of what runs in a container that one.
    out.owner = owner.empty() ? out.id.substr(0, out.id.find('/')) : owner;
  };
  switch (at.kind) {
    case WorkloadKind::kPod:
      made("pod:" + at.pod_uid + (owner.empty() && at.container.empty() ? "" : "/"), at.container);
      break;
    case WorkloadKind::kContainer:
      made("container:", at.container);
      break;
    case WorkloadKind::kSystemdUnit:
      made("unit:", at.unit);
      if (!owner.empty()) out.add(fact::kUnitOwner, users_.name(at.user));
      out.add(fact::kUnit, at.unit, known_by);
      break;
    default:
      break;
  }
  if (!out.id.empty()) {
    const bool is_unit = at.kind == WorkloadKind::kSystemdUnit;
    const KnownBy outer = makers.known && at.user == kUnset ? KnownBy::kKernel : KnownBy::kClaimed;
    return out.add(fact::kPodUid, at.pod_uid, known_by)
        .add(fact::kContainerId, at.container, is_unit ? KnownBy::kClaimed : known_by)
        .add(fact::kRuntime, at.runtime, known_by)
        .add(fact::kOuterContainer, at.outer_container, outer)
        .add(fact::kOuterPod, at.outer_pod, outer)
        .add(fact::kCgroup, own_path(cgroup, at));
  }
  // A session is a person: its number comes again after the next boot, and a desktop has a scope for each program
  // started.
  if (process.login_uid != kUnset || at.kind == WorkloadKind::kLoginSession) {
    const std::uint32_t uid = process.login_uid != kUnset ? process.login_uid : at.user;
    out.id = out.owner = "user:" + std::to_string(uid);
    out.kind = WorkloadKind::kLoginSession;
    // What an agent takes by its own choice is not what the person takes.
    if (process.agent) {
      out.id += "/agent/" + *process.agent;
      out.add(fact::kAgent, *process.agent, KnownBy::kClaimed);
    }
    return out.add(fact::kPerson, users_.name(uid));
  }
  // Nothing has named this directory: the program says what it is for, and the directory whose it is. A comm is
  // whatever the process says.
  const bool claimed = process.exe.empty();
  const std::string program = base::program_name(process);
  const bool root = cgroup.empty() || cgroup == "/";
  out.id = (root ? "host:" : "cgroup:" + cgroup + ":") + (claimed ? "comm/" : "") + program;
  out.owner = root ? "host:" : directory_of_owner(cgroup, makers.claimed);
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
