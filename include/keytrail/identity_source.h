// SPDX-License-Identifier: Apache-2.0
// Port: where facts about workloads come from besides the kernel's events: tokens, a runtime's state, the API server.
// A source learns at its own pace, on whatever thread it has, and posts; the facts are applied on the pipeline's
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "keytrail/examiner.h"
#include "keytrail/key.h"
#include "keytrail/workload.h"

namespace keytrail {

/// The id under which facts are posted that are true of everything on this machine. They are shown in status and
/// exported with each resource; they are no workload's, and not stored.
inline constexpr char kThisMachine[] = "machine";

/// A token or certificate that a process of a workload read, and whom it names. Whether it is that workload's own is
/// for the source to decide.
struct TokenTold {
  std::shared_ptr<const Workload> workload;  ///< of the process that read it; never null
  std::string key_kind;                      ///< catalog kind of the token
  std::string place;                         ///< file it was read from, in the process's own root
  std::vector<Claim> claims;
  std::string key_id;
  std::int64_t issued_s = 0, expires_s = 0;  ///< Unix; 0 = it does not say
  bool for_others = false;  ///< the reader is one that has what is others': a relay, a hub, one that reads in bulk
};

/// A workload that was not known before, or a container of an id that was there before; and the process that it was
/// first seen by.
struct WorkloadSeen {
  std::shared_ptr<const Workload> workload;  ///< never null
  Reach reach;                               ///< that process; it may have ended
};

/// Takes what sources learn. A queue of bounded length: what does not fit is dropped and counted.
class IdentitySink {
 public:
  virtual ~IdentitySink() = default;
  /// Any thread; never blocks. `since_ns` 0 = now. What exceeds the bounds of a fact is dropped and counted.
  virtual void post(WorkloadFacts facts) = 0;
  /// The same for who can wait: false where there is no room now. Then nothing was taken or counted; offer it again.
  [[nodiscard]] virtual bool offer(WorkloadFacts& facts) {
    post(std::move(facts));
    return true;
  }
};

/// Registered by one line in agent/identify/sources.cpp.
class IdentitySource {
 public:
  virtual ~IdentitySource() = default;
  /// Called once, before anything else; `sink` outlives the source. Threads end in the destructor.
  virtual void start(IdentitySink& sink) = 0;
  /// These three on the pipeline's thread; they must not block.
  virtual void on_token(const TokenTold&) {}
  virtual void on_workload(const WorkloadSeen&) {}
  /// About 20 times a second; `now_ns` since boot.
  virtual void on_turn(std::uint64_t /*now_ns*/) {}
  /// For status, by name: what it left out, and why. On the pipeline's thread.
  [[nodiscard]] virtual std::map<std::string, std::uint64_t> counters() const { return {}; }
  /// What it cannot learn now, why, and what to do; for status and doctor. Empty: nothing is amiss. On the same thread.
  [[nodiscard]] virtual std::string remark() const { return {}; }
};

}  // namespace keytrail
