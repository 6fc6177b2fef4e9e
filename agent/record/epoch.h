// SPDX-License-Identifier: Apache-2.0
// Which opening of the file a row's sequence is of. A power cut takes the newest rows and their sequences come again; a
// restored snapshot goes on from where it was made: the same number, another row. So each opening has a random id, on
// the disk before its first row is: (epoch, sequence) comes once.
#pragma once

#include <vector>

#include "agent/record/sqlite.h"
#include "keytrail/row_queue.h"

namespace keytrail::record {

/// Begins the epoch of this opening, synced, and forgets those whose rows are gone. Returns all that are left, oldest
/// first. Without room on the disk the one before goes on.
[[nodiscard]] Result<std::vector<RowEpoch>> begin_epoch(Database& db);

}  // namespace keytrail::record
