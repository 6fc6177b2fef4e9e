// SPDX-License-Identifier: Apache-2.0
// What the warden was started in: a namespace of its own, capabilities that were not given or hooks that could not be
// attached take a part of what it is for, and must not look like the whole. Asked once, before anything is given up.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "keytrail/hooks.h"
#include "keytrail/result.h"

namespace keytrail::warden {

/// How a remark begins that makes the agent PARTLY ARMED (see agent/serve/status_json.h): what it cannot see, why, and
/// the fix.
inline constexpr char kPartlyArmed[] = "PARTLY ARMED: ";

struct Surroundings {
  std::uint64_t pid_ns = 0;        ///< inode of /proc/self/ns/pid; 0: it could not be had
  bool proc = false;               ///< /proc tells of this process
  std::uint64_t capabilities = 0;  ///< the effective set, a bit each
};
[[nodiscard]] Surroundings look_around();

/// Fails where the roles could not be made others than root: then nothing is begun. Pure.
[[nodiscard]] Result<void> can_begin(const Surroundings& here);

/// A sentence for each thing that is missing, with what that costs and the fix; at most 254 bytes each, so that it goes
/// into a remark. A capability without which everything is seen makes nothing PARTLY ARMED. Pure.
[[nodiscard]] std::vector<std::string> what_is_missing(const Surroundings& here);
/// The same for each family that no answer can do without and that is not armed. Pure.
[[nodiscard]] std::vector<std::string> what_is_missing(std::span<const HookReport> hooks);

}  // namespace keytrail::warden
