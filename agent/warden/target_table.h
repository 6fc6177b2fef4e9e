// SPDX-License-Identifier: Apache-2.0
// Where a hook family's programs run at places of a file that were found while running (uprobes): attached, counted,
// detached. Thread: the warden's only one.
#pragma once

#include <cstdint>
#include <vector>

#include "keytrail/hooks.h"
#include "keytrail/result.h"

namespace keytrail::warden {

class TargetTable {
 public:
  virtual ~TargetTable() = default;
  /// Attaches; gives the target's number. `file`: a descriptor of it, which stays the caller's. Every refusal is a
  /// sentence and is counted. The offsets are believed: the kernel checks only that an instruction can be decoded
  /// there.
  virtual Result<std::uint32_t> attach(const HookTarget& target, int file) = 0;
  /// The last report of it.
  virtual Result<TargetReport> detach(std::uint32_t id) = 0;
  virtual void detach_all() = 0;
  /// Detaches those that can have no more hits: of a process that ended; of a file that has no name any more, unless
  /// one process was meant, which may still run it.
  virtual std::vector<TargetReport> drop_gone() = 0;
  [[nodiscard]] virtual std::vector<TargetReport> report() const = 0;
  [[nodiscard]] virtual TargetCounts counts() const = 0;
};

}  // namespace keytrail::warden
