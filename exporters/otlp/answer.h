// SPDX-License-Identifier: Apache-2.0
// What a collector's answer means (OTLP 1.x, "OTLP/HTTP response" and "OTLP/gRPC response"). Pure; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/http_client.h"
#include "exporters/otlp/grpc_channel.h"

namespace keytrail::otlp {

struct Answer {
  enum class Kind : std::uint8_t {
    kAccepted,   ///< `rejected` of its records were refused
    kRefused,    ///< the whole request, for good, whatever is in it
    kUnfit,      ///< this request, for its size or for something in it: a part of it may be taken
    kRetry,      ///< later, the same again
    kCancelled,  ///< by us
  };
  Kind kind = Kind::kAccepted;
  bool too_large = false;  ///< of kUnfit: its size is what is wrong
  std::uint64_t rejected = 0;
  std::optional<std::chrono::seconds> retry_after;  ///< what the collector asked for, at most kRetryAfterMax
  std::string text;  ///< for log and status: "503 Service Unavailable"; on kAccepted a warning or empty
};

inline constexpr std::chrono::seconds kRetryAfterMax{300};

/// `body`: of the response as protobuf; absent = it was not OTLP. `wall_ns`: the time now, for a Retry-After that is a
/// date (RFC 9110, 10.2.3).
[[nodiscard]] Answer answer_of(const base::HttpResponse& response, const std::optional<std::string>& body,
                               std::int64_t wall_ns);
[[nodiscard]] Answer answer_of(const GrpcReply& reply);
/// No response: tried again, but for kTooLarge (refused) and kGone (cancelled).
[[nodiscard]] Answer answer_of(const Error& error);

[[nodiscard]] std::optional<std::chrono::seconds> parse_retry_after(const std::string& value, std::int64_t wall_ns);

}  // namespace keytrail::otlp
