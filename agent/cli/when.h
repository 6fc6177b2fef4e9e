// SPDX-License-Identifier: Apache-2.0
// Times as people type and read them. Pure; UTC unless `local`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "keytrail/result.h"

namespace keytrail::cli {

/// "2h", "30m", "45s", "3d", "1w" before now; "now", "today", "yesterday"; "14:02", the last one; "2026-03-09",
/// "2026-03-09 14:02[:33]", RFC 3339. Without an offset a time is UTC, or local time with `local`. Errors: kInvalid,
/// with what is understood.
[[nodiscard]] Result<std::int64_t> parse_when(std::string_view text, std::int64_t now_ns, bool local = false);
/// "30m", "2h", "45s", "1d" in ns, at least a second. Errors: kInvalid, with what is understood.
[[nodiscard]] Result<std::int64_t> parse_duration(std::string_view text);
/// "14:02" or "14:02:33": which day it is of follows from another time.
[[nodiscard]] bool is_time_of_day(std::string_view text);
/// "2026-03-09 14:02:11".
[[nodiscard]] std::string format_when(std::int64_t unix_ns, bool local = false);
/// The same from a JSON time ("2026-…Z"); the text itself when it is none.
[[nodiscard]] std::string format_when(std::string_view rfc3339, bool local = false);
/// "2026-03-09 14:02:11Z", or with the offset for local time.
[[nodiscard]] std::string format_when_zone(std::int64_t unix_ns, bool local = false);
/// "38 s", "9 min", "3 h", "12 d": how long ago.
[[nodiscard]] std::string format_age(std::int64_t ns);

}  // namespace keytrail::cli
