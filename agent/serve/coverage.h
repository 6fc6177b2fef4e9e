// SPDX-License-Identifier: Apache-2.0
// What stands behind an answer: the period, and what may be missing in it (gaps, loss, hooks that are not armed).
// In: the history's gaps and the agent's state. Out: JSON and "complete". Thread: serve's.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <map>

#include "keytrail/agent_status.h"
#include "keytrail/history_reader.h"

namespace keytrail::serve {

/// Unix ns.
[[nodiscard]] std::int64_t now_ns();

struct Coverage {
  boost::json::object json;
  bool complete = false;
};

class CoverageSource {
 public:
  CoverageSource(HistoryReader& history, AgentStatusSource& status, std::size_t max_rows)
      : history_(history), status_(status), max_rows_(max_rows) {}

  /// Of an answer about the filter's period.
  [[nodiscard]] Coverage of(const HistoryFilter& filter) { return of(filter, true); }
  /// Of an answer about processes that live now. A gap concerns only those that lived through it; these are named one
  /// by one (see rotation.h), so the gap itself says no more.
  [[nodiscard]] Coverage of_the_living(const HistoryFilter& filter) { return of(filter, false); }

 private:
  [[nodiscard]] Coverage of(const HistoryFilter& filter, bool with_gaps);
  Result<void> load_gaps();

  HistoryReader& history_;
  AgentStatusSource& status_;
  std::size_t max_rows_;
  std::map<std::uint64_t, GapRow> gaps_;  ///< by sequence: the newest kMaxGaps; each answer reads only what came since
  bool gaps_forgotten_ = false;
};

}  // namespace keytrail::serve
