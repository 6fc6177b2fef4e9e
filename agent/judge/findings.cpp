// SPDX-License-Identifier: Apache-2.0
// The table of findings.
#include <array>

#include "agent/judge/finding.h"

namespace keytrail::judge {

std::span<const Rule> rules() {
  static constexpr std::array kRules{
      Rule{"old_key_in_use", old_key_in_use},
      Rule{"key_in_arguments", key_in_arguments},
  };
  return kRules;
}

}  // namespace keytrail::judge
