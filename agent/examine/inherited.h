// SPDX-License-Identifier: Apache-2.0
// The descriptors that the warden hands to a role: KEYTRAIL_FDS="high=3,low=4,…".
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/base/fd.h"

namespace keytrail::examine {

class InheritedFds {
 public:
  InheritedFds() = default;
  explicit InheritedFds(std::vector<std::pair<std::string, base::UniqueFd>> fds) : fds_(std::move(fds)) {}

  /// The descriptor of this name; an empty one when it was not handed over. It stays here until it is moved away.
  [[nodiscard]] base::UniqueFd& get(std::string_view name);
  [[nodiscard]] bool empty() const { return fds_.empty(); }

 private:
  std::vector<std::pair<std::string, base::UniqueFd>> fds_;
  base::UniqueFd none_;
};

/// Parses `text`; entries that are malformed, name no open descriptor or repeat one are left out. All get CLOEXEC.
[[nodiscard]] InheritedFds parse_inherited_fds(std::string_view text);

/// Takes them from the environment (which loses the variable), makes the process undumpable (its memory and /proc
/// entries are closed to others of the same user) and turns core dumps off. Call once, before any thread. Empty when
/// the variable is not set: started by hand.
[[nodiscard]] InheritedFds take_inherited_fds();

}  // namespace keytrail::examine
