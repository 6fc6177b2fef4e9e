// SPDX-License-Identifier: Apache-2.0
// Which gaps could concern an answer: by the workload and by the kinds of key that were asked for. A gap that cannot is
// left out; where it is not known whether it can, it does. Thread: serve's.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "agent/catalog/catalog.h"
#include "keytrail/history_reader.h"

namespace keytrail::serve {

class Concern {
 public:
  /// `filter`: what is asked for; outlives this.
  Concern(HistoryReader& history, const catalog::Catalog& catalog, const HistoryFilter& filter);

  [[nodiscard]] bool with(const GapRow& gap);

 private:
  void find_kinds(const catalog::Catalog& catalog);
  /// Whether a gap of this scope is surely of other workloads than those that are asked for.
  [[nodiscard]] bool is_of_others(const std::string& scope);

  HistoryReader& history_;
  const HistoryFilter& filter_;
  std::set<std::string, std::less<>> kinds_;  ///< of what is asked for; empty: not known, or all
  std::optional<bool> own_found_;             ///< looked for, and all of them are there
  bool all_looked_for_ = false;
  std::set<std::string, std::less<>> own_;    ///< names of workloads that are asked for
  std::set<std::string, std::less<>> known_;  ///< of all that there are
};

}  // namespace keytrail::serve
