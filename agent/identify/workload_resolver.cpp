// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/workload_resolver.h"

#include "agent/base/program_name.h"
#include "agent/identify/cgroup_path.h"
#include "agent/identify/ci_job.h"

namespace keytrail::identify {
namespace {

constexpr std::size_t kMaxKnown = 20'000;
constexpr std::size_t kShownId = 12;
constexpr std::uint32_t kUnset = UINT32_MAX;

std::string program_of(const Process& process) { return base::program_name(process.exe, process.filename, process.comm); }

// Container ids by their first 12 digits, as the runtimes show them; free-text ids whole.
std::string_view shown(const std::string& container) {
  return is_container_id(container) ? std::string_view(container).substr(0, kShownId) : container;
}

}  // namespace

std::shared_ptr<const Workload> WorkloadResolver::resolve(const Process& process, const std::string& cgroup) {
  const CgroupPlace place = parse_cgroup_path(cgroup);
  const std::string job = ci_job_name(process.env);
  // Only a process that belongs to nothing else is named after its program.
  const std::string program = place.kind == WorkloadKind::kHost && process.login_uid == kUnset ? program_of(process) : std::string{};
  std::string key = cgroup;
  for (const std::string& part : {std::to_string(process.uid), std::to_string(process.login_uid), job, program}) {
    key += '\0';
    key += part;
  }
  if (const auto it = known_.find(key); it != known_.end()) return it->second;
  if (known_.size() >= kMaxKnown) known_.clear();  // processes keep theirs; only sharing is lost
  Workload workload = build(process, place);
  workload.cgroup = cgroup;
  if (!job.empty()) {
    workload.kind = WorkloadKind::kCiJob;
    workload.known_by = KnownBy::kClaimed;
    workload.name = job;
  }
  auto made = std::make_shared<const Workload>(std::move(workload));
  known_.emplace(std::move(key), made);
  return made;
}

Workload WorkloadResolver::build(const Process& process, const CgroupPlace& place) {
  Workload out{.kind = place.kind, .known_by = place.known_by, .pod_uid = place.pod_uid, .unit = place.unit};
  if (is_container_id(place.container)) out.container_id = place.container;
  const bool own_users = place.kind == WorkloadKind::kPod || place.kind == WorkloadKind::kContainer;
  // A number in a container means what that image's passwd says, not the node's.
  out.user = own_users && process.uid != 0 ? std::to_string(process.uid) : users_.name(process.uid);
  if (process.login_uid != kUnset) out.login_user = users_.name(process.login_uid);
  switch (place.kind) {
    case WorkloadKind::kPod:
      out.name = "pod: " + place.pod_uid;
      if (!place.container.empty()) out.name.append("/").append(shown(place.container));
      break;
    case WorkloadKind::kContainer:
      out.name.append("container: ").append(shown(place.container));
      break;
    case WorkloadKind::kSystemdUnit:
      out.name = place.known_by == KnownBy::kClaimed ? users_.name(place.user) + "/" + place.unit : place.unit;
      break;
    case WorkloadKind::kLoginSession:
      if (out.login_user.empty()) out.login_user = users_.name(place.user);
      out.name = "person: " + out.login_user;
      break;
    default:
      if (!out.login_user.empty()) {
        out.name = "person: " + out.login_user;
      } else {
        out.name = "host: " + program_of(process);
        if (process.exe.empty()) out.known_by = KnownBy::kClaimed;  // a comm is whatever the process says
      }
  }
  return out;
}

}  // namespace keytrail::identify
