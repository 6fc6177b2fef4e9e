// SPDX-License-Identifier: Apache-2.0
// What a finding's rule gets to see, and the table of all rules.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "keytrail/recorder.h"
#include "keytrail/row.h"

namespace keytrail::judge {

struct Facts {
  std::multimap<std::string, SlotChange> replaced;  ///< by old key id: slots that hold another key now; bounded by Judge
  std::map<std::string, UseRow> last_uses;          ///< by key id ranked first; bounded by Judge
};

/// One batch. `uses` holds the touches as well: activity of a use already told.
struct Batch {
  std::span<const Row> rows;
  std::span<const UseRow* const> uses;
  const Facts& facts;
  std::span<const SlotChange> slot_changes;  ///< that became known with this batch; `facts` has them already
};

/// `time_ns` of a finding: when it happened.
struct Found {
  std::int64_t time_ns = 0;
  FindingRow finding;
};

struct Rule {
  std::string_view type;
  void (*look)(const Batch& batch, std::vector<Found>& out);
};

/// Every rule there is. A new finding is a new file and a line in findings.cpp.
[[nodiscard]] std::span<const Rule> rules();

void old_key_in_use(const Batch& batch, std::vector<Found>& out);
void key_in_arguments(const Batch& batch, std::vector<Found>& out);

}  // namespace keytrail::judge
