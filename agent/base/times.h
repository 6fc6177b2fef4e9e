// SPDX-License-Identifier: Apache-2.0
// RFC 3339 times in UTC with nanoseconds: the one form of time in JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keytrail::base {

/// Unix ns → "2026-11-21T04:00:00.123456789Z". Years 1678 to 2261 (the range of the type).
[[nodiscard]] std::string format_rfc3339(std::int64_t unix_ns);
/// The same from Unix seconds, for times that others wrote (a certificate's end may be the year 9999); nullopt outside
/// the years 1 to 9999.
[[nodiscard]] std::optional<std::string> format_rfc3339_s(std::int64_t unix_s);
/// RFC 3339 section 5.6 ("2026-11-21T04:00:00.1Z", "…+01:00") → Unix ns; nullopt when malformed or out of range.
[[nodiscard]] std::optional<std::int64_t> parse_rfc3339(std::string_view text);

}  // namespace keytrail::base
