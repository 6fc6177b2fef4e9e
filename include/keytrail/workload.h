// SPDX-License-Identifier: Apache-2.0
// What a process belongs to, and how that is known.
#pragma once

#include <cstdint>
#include <string>

#include "keytrail/words.h"

namespace keytrail {

enum class WorkloadKind : std::uint8_t {
  kHost = 0,
  kSystemdUnit = 1,
  kContainer = 2,
  kPod = 3,
  kLoginSession = 4,
  kCiJob = 5,
  kSpiffe = 6,
};

/// How a workload is known, strongest last wins nothing: each is shown as it is.
enum class KnownBy : std::uint8_t { kKernel = 0, kRuntime = 1, kCluster = 2, kToken = 3, kClaimed = 4 };

struct Workload {
  WorkloadKind kind = WorkloadKind::kHost;
  KnownBy known_by = KnownBy::kKernel;
  std::string name;          ///< as shown and asked for: "payments/api-6d4f", "backup.service", "person: alice", "host: cron"
  std::string container_id;  ///< 64 hex digits or empty
  std::string pod_uid;       ///< dashed, lower case, or empty
  std::string unit;          ///< systemd unit, or empty
  std::string user;          ///< name (or number) of the user it runs as
  std::string login_user;    ///< who logged in (audit loginuid), or empty
  std::string cgroup;        ///< path as the kernel names it
};

template <>
inline constexpr auto kWords<KnownBy> = words<KnownBy>({
    {KnownBy::kKernel, "kernel"},
    {KnownBy::kRuntime, "runtime"},
    {KnownBy::kCluster, "cluster"},
    {KnownBy::kToken, "token"},
    {KnownBy::kClaimed, "claimed"},
});

template <>
inline constexpr auto kWords<WorkloadKind> = words<WorkloadKind>({
    {WorkloadKind::kHost, "host"},
    {WorkloadKind::kSystemdUnit, "systemd_unit"},
    {WorkloadKind::kContainer, "container"},
    {WorkloadKind::kPod, "pod"},
    {WorkloadKind::kLoginSession, "login_session"},
    {WorkloadKind::kCiJob, "ci_job"},
    {WorkloadKind::kSpiffe, "spiffe"},
});

}  // namespace keytrail
