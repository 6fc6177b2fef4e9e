// SPDX-License-Identifier: Apache-2.0
// From a process and the path of its cgroup to the workload it belongs to and the users behind it. Thread: the
// pipeline's.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "agent/identify/cgroup_path.h"
#include "agent/identify/user_names.h"
#include "agent/identify/workload_table.h"
#include "keytrail/process.h"

namespace keytrail::identify {

class WorkloadResolver {
 public:
  WorkloadResolver(std::string passwd_path, WorkloadTable& table) : users_(std::move(passwd_path)), table_(table) {}

  /// Sets the process's workload and account. `cgroup`: path as the kernel names it; empty when it is not known.
  void resolve(Process& process, const std::string& cgroup, const CgroupMakers& makers = {});
  /// The name of what is in this cgroup, whoever it is: of the workload that its path names, else "cgroup PATH". Empty:
  /// of nothing that has a name (the root's).
  [[nodiscard]] std::string name_of(const std::string& cgroup, const CgroupMakers& makers);
  /// The account alone: its users are others now.
  void renew_account(Process& process) { process.account = account_of(process); }
  /// Of a process whose cgroup nothing has named: users are called otherwise now.
  void renew_users(Process& process);
  /// The same for the variables that were learnt of it later: a CI job and the name of a service are told by them.
  void claim(Process& process);
  /// The node's users. True where it was news: then processes are to be resolved again.
  bool learn_users(UserNames::Names names) { return users_.learn(std::move(names)); }

 private:
  struct Place;
  [[nodiscard]] std::shared_ptr<const Workload> workload_of(const Process& process, const std::string& cgroup,
                                                            const CgroupMakers& makers);
  [[nodiscard]] Place place_of(const Process& process, const std::string& cgroup, const CgroupMakers& makers);
  [[nodiscard]] std::shared_ptr<const Account> account_of(const Process& process);

  UserNames users_;
  WorkloadTable& table_;
  std::unordered_map<std::string, std::shared_ptr<const Account>> accounts_;  // by the names in them
};

}  // namespace keytrail::identify
