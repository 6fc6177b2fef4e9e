// SPDX-License-Identifier: Apache-2.0
// Derives findings from what link found: rows, uses and rotations in, finding rows out. Each finding is one file, registered in one table
// (findings.cpp). Thread: the pipeline's only one.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <span>
#include <string>
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

  /// What earlier runs stored ("rotation:…" by link, "finding:…" by this class): call once, before the first batch.
  void load_state(const std::map<std::string, std::string>& state);
  /// New findings of a batch; each subject of a type is told once. `state` is link's output: its "rotation:OLDKEYID" entries count.
  [[nodiscard]] std::vector<Row> on_batch(std::span<const Row> rows, std::span<const UseRow> uses, std::span<const UseTouch> touches,
                                          const std::map<std::string, std::string>& state);
  /// What is to be stored beside the batch; an empty value deletes.
  [[nodiscard]] std::map<std::string, std::string> take_state();

 private:
  void learn(const std::string& name, const std::string& value);
  [[nodiscard]] bool first_time(const std::string& name);

  const Clock& clock_;
  const std::size_t limit_;
  Facts facts_;
  std::deque<std::string> replaced_order_;
  std::set<std::string> told_;
  std::deque<std::string> told_order_;
  std::map<std::string, std::string> state_;
};

}  // namespace keytrail::judge
