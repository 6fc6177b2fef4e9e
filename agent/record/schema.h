// SPDX-License-Identifier: Apache-2.0
// The layout of the history file and how older ones are brought up to it.
#pragma once

#include <array>
#include <cstdint>

#include "agent/record/sqlite.h"
#include "keytrail/clock.h"

namespace keytrail::record {

inline constexpr std::int64_t kApplicationId = 0x4B545231;  ///< "KTR1" in the file's header
inline constexpr std::int64_t kSchemaVersion = 4;

/// Refuses a newer or foreign file; writes nothing.
Result<void> check_schema(Database& db, const std::string& path);

/// Creates or migrates the schema in one transaction. A newer or foreign file is refused and left untouched.
Result<void> prepare_schema(Database& db, const std::string& path, const Clock& clock);

/// The random id given when the history began.
Result<std::array<std::uint8_t, 16>> read_history_id(Database& db);

}  // namespace keytrail::record
