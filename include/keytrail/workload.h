// SPDX-License-Identifier: Apache-2.0
// What a process belongs to, and how that is known.
#pragma once

#include <cstdint>
#include <string>

namespace keytrail {

enum class WorkloadKind : std::uint8_t { kHost, kSystemdUnit, kContainer, kPod, kLoginSession, kCiJob, kSpiffe };

/// How a workload is known, strongest last wins nothing: each is shown as it is.
enum class KnownBy : std::uint8_t { kKernel, kRuntime, kCluster, kToken, kClaimed };

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

[[nodiscard]] constexpr const char* to_string(KnownBy value) {
  switch (value) {
    case KnownBy::kKernel:
      return "kernel";
    case KnownBy::kRuntime:
      return "runtime";
    case KnownBy::kCluster:
      return "cluster";
    case KnownBy::kToken:
      return "token";
    case KnownBy::kClaimed:
      return "claimed";
  }
  return "claimed";
}

[[nodiscard]] constexpr const char* to_string(WorkloadKind value) {
  switch (value) {
    case WorkloadKind::kHost:
      return "host";
    case WorkloadKind::kSystemdUnit:
      return "systemd_unit";
    case WorkloadKind::kContainer:
      return "container";
    case WorkloadKind::kPod:
      return "pod";
    case WorkloadKind::kLoginSession:
      return "login_session";
    case WorkloadKind::kCiJob:
      return "ci_job";
    case WorkloadKind::kSpiffe:
      return "spiffe";
  }
  return "host";
}

}  // namespace keytrail
