// SPDX-License-Identifier: Apache-2.0
// Port: what the running agent knows of itself. Filled by the integrator (agent/main), asked by serve for /v1/status, /v1/doctor and every
// coverage line.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "keytrail/accounting.h"
#include "keytrail/event.h"

namespace keytrail::serve {

/// A hook family: how it is armed, and the kernel's counters of it since it was armed.
struct FamilyStatus {
  Family family = Family::kExec;
  std::string chosen;                                        ///< "tracepoint sys_exit_openat"; empty = not armed
  std::string cost;                                          ///< "every system call +20 ns"
  std::string missing;                                       ///< what this way does not see; empty = nothing
  std::vector<std::pair<std::string, std::string>> refused;  ///< better ways: name and why not
  bool sees_less = false;                                    ///< than the best ways would
  bool silent = false;                                       ///< its heartbeat did not come through
  bool optional = false;                                     ///< its absence costs precision, not coverage (request)
  KernelCounters counters;
};

struct ExporterStatus {
  std::string name, endpoint;
  std::string state;               ///< "ok", "retrying: connection refused", "stopped: 401 Unauthorized": no secret
  std::string last_error;          ///< since start; empty = none
  std::int64_t last_error_ns = 0;  ///< Unix ns
  std::int64_t last_ok_ns = 0;     ///< Unix ns; 0 = no request was accepted since start
  std::uint64_t retries = 0;       ///< requests sent again since start
  std::int64_t lag_ns = 0;         ///< age of the oldest row that is being sent; 0 = none is
};

struct RoleStatus {
  std::string name;  ///< "warden", "examiner", "worker"
  std::uint32_t pid = 0;
  std::uint64_t restarts = 0;
  std::string note;  ///< why it was restarted last, or empty
};

struct AgentStatus {
  std::string version;              ///< of the agent
  std::string host;                 ///< node name
  std::string kernel;               ///< uname -r
  std::int64_t armed_since_ns = 0;  ///< Unix ns; 0 = not armed
  std::uint32_t armed_in_ms = 0;    ///< start to armed
  std::vector<FamilyStatus> families;
  /// What the worker did with the events that came through the rings since the same moment as the kernel's counters.
  WorkerCounters worker;
  std::uint64_t in_flight = 0;  ///< taken from a ring, fate not decided yet; 0 at rest
  /// What the worker follows now, and what it turned away or forgot since it started ("connections", "files_forgotten").
  std::map<std::string, std::uint64_t> tracking;
  std::vector<ExporterStatus> exporters;
  std::vector<RoleStatus> roles;
  std::vector<std::string> remarks;  ///< "the examiner runs without seccomp: …"
};

class StatusSource {
 public:
  virtual ~StatusSource() = default;
  /// A copy. Called on serve's thread for each answer: must be quick and thread-safe.
  [[nodiscard]] virtual AgentStatus status() = 0;
};

}  // namespace keytrail::serve
