// SPDX-License-Identifier: Apache-2.0
// Rows that went before their time because the history is bounded: whoever asks about their period must hear of it. One
// gap that grows, told at most once a minute; until then "kept since" says so (Store::note_removed). Kept in the
// totals, changed in the transaction that removes the rows. Thread: the writer's.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/record/sqlite.h"
#include "keytrail/row.h"

namespace keytrail::record {

struct Evicted {
  std::uint64_t rows = 0;
  std::int64_t from_ns = 0, to_ns = 0;  ///< Unix ns: when they happened
};

/// What would go with the rows up to `last_seq`.
[[nodiscard]] Result<Evicted> evicted_by(Database& db, std::uint64_t last_seq);
/// They went.
Result<void> note_evicted(Database& db, const Evicted& evicted);
/// Rows went that were not told of yet.
[[nodiscard]] Result<bool> has_untold(Database& db);
/// What is to be told now: the whole period since rows were first evicted, and how many went since it was last told.
/// Marks it as told.
[[nodiscard]] Result<std::optional<GapRow>> due_gap(Database& db, std::int64_t now_ns);

}  // namespace keytrail::record
