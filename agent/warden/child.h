// SPDX-License-Identifier: Apache-2.0
// Starting a role with inherited descriptors, and deciding when it is started again. Thread: the warden's only one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "keytrail/result.h"

namespace keytrail::warden {

struct Spawn {
  std::string path;
  std::vector<std::string> arguments;  ///< argv, the name first
  /// Added to ours, which is cleaned of LD_…, NOTIFY_SOCKET and WATCHDOG_….
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::pair<const char*, int>> descriptors;  ///< handed over under these names in KEYTRAIL_FDS
  std::function<bool()> before_exec;                     ///< in the child: gives privileges up; false ends it
};

/// Forks and executes. An unusable path shows as exit status 127, a failed `before_exec` as 126.
[[nodiscard]] Result<pid_t> spawn(const Spawn& what);

/// The delay before a role is started again: none at first, then doubling from 250 ms to 5 s while each life is
/// shorter than 5 s.
class Backoff {
 public:
  /// The role ended after `life_ns`. Returns the delay in ns.
  std::uint64_t ended(std::uint64_t life_ns);

 private:
  unsigned short_lives_ = 0;
};

}  // namespace keytrail::warden
