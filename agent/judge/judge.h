// SPDX-License-Identifier: Apache-2.0
// Derives findings from what link found: rows, uses and changes of slots in, finding rows out. Each finding is one file, registered in one
// table (findings.cpp). Thread: the pipeline's only one.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "agent/judge/finding.h"
#include "keytrail/clock.h"
#include "keytrail/recorder.h"
#include "keytrail/row.h"

namespace keytrail::judge {

class Judge {
 public:
  /// `max_remembered`: findings that are kept from being told twice, and keys whose replacement is remembered.
  explicit Judge(const Clock& clock, std::size_t max_remembered = 4'096);

  /// What earlier runs stored: the keys that slots no longer hold, the findings that were told. Call once, before the first batch.
  void load(const Earlier& earlier);
  /// New findings of a batch; each subject of a type is told once.
  [[nodiscard]] std::vector<Row> on_batch(std::span<const Row> rows, std::span<const UseRow> uses, std::span<const UseTouch> touches,
                                          std::span<const SlotChange> slot_changes);

 private:
  using FindingName = std::pair<std::string, std::string>;  ///< type, subject

  void learn(const SlotChange& change);
  void forget(std::multimap<std::string, SlotChange>::iterator replaced);
  [[nodiscard]] bool first_time(const FindingName& name);

  const Clock& clock_;
  const std::size_t limit_;
  Facts facts_;
  std::deque<std::multimap<std::string, SlotChange>::iterator> replaced_order_;
  std::set<FindingName> told_;
  std::deque<FindingName> told_order_;
};

}  // namespace keytrail::judge
