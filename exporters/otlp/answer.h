// SPDX-License-Identifier: Apache-2.0
// What a collector's answer means (OTLP 1.x, "OTLP/HTTP response"). Pure; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "exporters/otlp/http_transport.h"

namespace keytrail::otlp {

enum class Signal : std::uint8_t { kTraces, kLogs };

struct Answer {
  enum class Kind : std::uint8_t {
    kAccepted,  ///< 2xx; `rejected` of its records were refused
    kRefused,   ///< the whole request, for good
    kRetry,     ///< 429, 502, 503, 504: later
  };
  Kind kind = Kind::kAccepted;
  std::uint64_t rejected = 0;
  std::optional<std::chrono::seconds> retry_after;  ///< what the collector asked for, at most kRetryAfterMax
  std::string text;                                 ///< for log and status: "503 Service Unavailable"; on kAccepted a warning or empty
};

inline constexpr std::chrono::seconds kRetryAfterMax{300};

/// `wall_ns`: the time now, for a Retry-After that is a date (RFC 9110, 10.2.3).
[[nodiscard]] Answer judge(Signal signal, const HttpResponse& response, std::int64_t wall_ns);
[[nodiscard]] std::optional<std::chrono::seconds> parse_retry_after(const std::string& value, std::int64_t wall_ns);

}  // namespace keytrail::otlp
