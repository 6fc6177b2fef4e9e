// SPDX-License-Identifier: Apache-2.0
// What stands behind an answer: which period, how much of it was watched, and what may be missing in it. Complete is
// what was asked for when all of its period was watched and stored, and no gap that may hide something lies in it;
// nothing else makes it so. In: the history's watched time and gaps, the agent's state. Out: JSON and "complete".
// Thread: serve's.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/serve/watched_time.h"
#include "keytrail/agent_status.h"
#include "keytrail/history_reader.h"

namespace keytrail::serve {

/// Unix ns.
[[nodiscard]] std::int64_t now_ns();

struct Coverage {
  boost::json::object json;
  bool complete = false;
};

/// Makes `most` gaps of more, or fewer: of those of one cause and family that concern the same (or whatever they
/// concern) the nearest become one, which covers the time between them, too.
void merge_nearest(std::vector<GapRow>& gaps, std::size_t most, bool across_scopes);

class CoverageSource {
 public:
  CoverageSource(HistoryReader& history, AgentStatusSource& status, const catalog::Catalog& catalog,
                 std::size_t max_rows)
      : history_(history), status_(status), catalog_(catalog), max_rows_(max_rows) {}

  /// Of an answer about the filter's period. Gaps that cannot concern what it asks for are left out (see Concern).
  [[nodiscard]] Coverage of(const HistoryFilter& filter) { return of(filter, false); }
  /// Of an answer about processes that live now: only the present must be watched. What was not watched while they
  /// lived is said of each of them (see rotation.h), so the time and its gaps say no more.
  [[nodiscard]] Coverage of_the_living(const HistoryFilter& filter) { return of(filter, true); }

 private:
  struct Watch {
    std::vector<Period> periods;     ///< of all families that must be watched
    std::int64_t kept_since_ns = 0;  ///< 0 = all is kept
    std::string problem;             ///< the history cannot be read: why
    [[nodiscard]] std::int64_t end_ns() const { return periods.empty() ? 0 : periods.back().to_ns; }
  };

  [[nodiscard]] Coverage of(const HistoryFilter& filter, bool living);
  [[nodiscard]] Watch watch();
  Result<void> load_gaps();

  HistoryReader& history_;
  AgentStatusSource& status_;
  const catalog::Catalog& catalog_;
  std::size_t max_rows_;
  /// Each answer reads only what came since. At most kMaxGaps: when there are more, the nearest alike are made one.
  std::vector<GapRow> gaps_;
  std::uint64_t gaps_read_ = 0;  ///< up to this sequence
  bool gaps_all_known_ = true;   ///< all were read
};

}  // namespace keytrail::serve
