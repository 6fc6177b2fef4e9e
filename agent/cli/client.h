// SPDX-License-Identifier: Apache-2.0
// A synchronous HTTP client for the agent's Unix socket.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "keytrail/result.h"

namespace keytrail::cli {

struct Answer {
  unsigned status = 0;
  std::string body;
};

/// GET `target` (already encoded). Errors: kNotFound (no agent listens there), kRefused (the socket's permissions),
/// kUnavailable (no answer in time), kGone (broken off, or no answer of HTTP).
[[nodiscard]] Result<Answer> get(const std::string& socket, const std::string& target,
                                 std::chrono::milliseconds timeout = std::chrono::seconds(60));

/// Follows /v1/watch: `on_event("open", "")` when the agent has agreed, then `on_event(name, data)` for each event
/// until it returns false or the agent goes (kUnavailable, kGone). An answer other than 200 is given as the value and
/// ends it.
[[nodiscard]] Result<Answer> follow(const std::string& socket, const std::string& target,
                                    const std::function<bool(std::string_view name, std::string_view data)>& on_event);

/// Percent-encodes a parameter's value.
[[nodiscard]] std::string encode(std::string_view text);

}  // namespace keytrail::cli
