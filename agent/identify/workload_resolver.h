// SPDX-License-Identifier: Apache-2.0
// From a process and the path of its cgroup to the workload it belongs to. Equal workloads are one object. Thread: the pipeline's.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "agent/identify/cgroup_path.h"
#include "agent/identify/user_names.h"
#include "keytrail/process.h"

namespace keytrail::identify {

class WorkloadResolver {
 public:
  explicit WorkloadResolver(std::string passwd_path) : users_(std::move(passwd_path)) {}

  /// Never null. `cgroup`: path as the kernel names it; empty when it is not known.
  /// Names: a CI job as claimed by the environment; "pod: UID/CONTAINER12"; "container: CONTAINER12"; the unit ("alice/sync.service" for a
  /// user's own); "person: alice" for a login session; else "person: alice" by audit login, else "host: PROGRAM".
  [[nodiscard]] std::shared_ptr<const Workload> resolve(const Process& process, const std::string& cgroup);

 private:
  [[nodiscard]] Workload build(const Process& process, const CgroupPlace& place);

  UserNames users_;
  std::unordered_map<std::string, std::shared_ptr<const Workload>> known_;  // by everything that the name depends on
};

}  // namespace keytrail::identify
