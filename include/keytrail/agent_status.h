// SPDX-License-Identifier: Apache-2.0
// Port: what the running agent knows of itself. Filled where the agent is put together (agent/worker), asked for
// /v1/status, /v1/doctor, every coverage line, and by whoever exports the agent's own health.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "keytrail/accounting.h"
#include "keytrail/event.h"
#include "keytrail/evidence.h"
#include "keytrail/hooks.h"
#include "keytrail/row.h"

namespace keytrail {

/// A hook family: how it is armed, and the kernel's counters of it since it was armed.
struct FamilyStatus {
  HookReport hook;
  bool silent = false;  ///< armed, but its heartbeat did not come through
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

/// One of the agent's processes.
struct RoleStatus {
  std::string name;            ///< "warden", "examiner", "worker"
  std::uint32_t pid = 0;       ///< 0: it is not running now
  std::uint32_t restarts = 0;  ///< since the warden began
  std::string ended;           ///< how its last life ended; empty in its first
};

/// A live process of which something may have been missed: it may hold a key that nobody saw it take.
struct UnseenLife {
  Actor actor;
  Reason reason = Reason::kExecNotSeen;  ///< of the closed world
  std::vector<std::string> kinds;        ///< of the keys that may have been missed; empty = any
};

/// Such processes of one program that connected to nobody since the worker started.
struct UnseenProgram {
  std::string program, workload;   ///< names
  std::vector<std::string> kinds;  ///< of the keys that may have been missed; empty = any
  std::uint64_t processes = 0;
};

struct UnseenLives {
  std::vector<UnseenLife> callers;       ///< that connected to somebody since the worker started, by process id
  std::uint64_t callers_not_listed = 0;  ///< the list is bounded
  std::vector<UnseenProgram> quiet;      ///< the others, the most processes first
  std::uint64_t quiet_not_listed = 0;    ///< this list is bounded, too
  std::uint64_t not_followed = 0;        ///< live processes over the bound of those that are followed
};

struct AgentStatus {
  std::string version;              ///< of the agent
  std::string host;                 ///< node name
  std::string kernel;               ///< uname -r
  std::vector<Fact> machine;        ///< what else is known of it: which instance of a cloud it is
  std::int64_t armed_since_ns = 0;  ///< Unix ns; 0 = not armed
  std::uint32_t armed_in_ms = 0;    ///< start to armed
  std::vector<FamilyStatus> families;
  /// What the worker did with the events that came through the rings since the same moment as the kernel's counters.
  WorkerCounters worker;
  std::uint64_t in_flight = 0;  ///< taken from a ring, fate not decided yet; 0 at rest
  /// What the worker follows now, and what it turned away or forgot since it started ("connections",
  /// "files_forgotten").
  std::map<std::string, std::uint64_t> tracking;
  std::vector<ExporterStatus> exporters;
  std::vector<RoleStatus> roles;
  std::vector<std::string> remarks;  ///< "the examiner runs without seccomp: …"
};

class AgentStatusSource {
 public:
  virtual ~AgentStatusSource() = default;
  /// A copy. Any thread; quick: it is called for each answer of the API.
  [[nodiscard]] virtual AgentStatus status() = 0;
  /// Live processes that may hold keys which nobody saw them take, as of now. Any thread but the pipeline's, which is
  /// asked and waited for, at most a second. Null: not known, as long as not all that live have been looked at.
  [[nodiscard]] virtual std::shared_ptr<const UnseenLives> unseen() = 0;
};

}  // namespace keytrail
