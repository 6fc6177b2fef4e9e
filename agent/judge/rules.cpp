// SPDX-License-Identifier: Apache-2.0
// The table of findings.
#include <array>

#include "agent/judge/rule.h"

// One line for each finding: the name of its RuleEntry, which a file in rules/ defines.
#define KEYTRAIL_FINDINGS(X) \
  X(kOldKeyInUse)            \
  X(kKeyInArguments)         \
  X(kPersonUsedWorkloadKey)  \
  X(kForeignTokenRead)       \
  X(kKeyMoved)               \
  X(kDeparture)              \
  X(kAgentSilenced)

namespace keytrail::judge {

#define KEYTRAIL_DECLARE(entry) extern const RuleEntry entry;
KEYTRAIL_FINDINGS(KEYTRAIL_DECLARE)

std::span<const RuleEntry* const> rules() {
#define KEYTRAIL_ADDRESS(entry) &(entry),
  static const std::array kRules{KEYTRAIL_FINDINGS(KEYTRAIL_ADDRESS)};
  return kRules;
}

std::span<const base::FindingType> finding_types() {
  static const auto kTypes = [] {
    std::vector<base::FindingType> out;
    for (const RuleEntry* rule : rules())
      out.push_back(rule->is);
    return out;
  }();
  return kTypes;
}

}  // namespace keytrail::judge
