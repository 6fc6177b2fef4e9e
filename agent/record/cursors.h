// SPDX-License-Identifier: Apache-2.0
// Reading exporters' cursors and counters (they are written by Store).
#pragma once

#include <map>
#include <string>

#include "agent/record/sqlite.h"
#include "keytrail/accounting.h"

namespace keytrail::record {

/// Of all exporters; call inside a read transaction.
Result<std::map<std::string, ExportCounters>> read_export_counters(Database& db);
Result<std::uint64_t> read_cursor(Database& db, const std::string& exporter);
/// What all exporters have that were opened on this connection: the sequence up to which rows may go; 0 when none was
/// opened. One that is configured no more has its row, but holds nobody up.
Result<std::int64_t> least_cursor(Database& db);

}  // namespace keytrail::record
