// SPDX-License-Identifier: Apache-2.0
// What is sent back: the envelope of every answer, and errors. Pure; any thread.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/serve/query.h"
#include "keytrail/history_reader.h"
#include "keytrail/result.h"

namespace keytrail::serve {

struct ApiAnswer {
  unsigned status = 200;
  std::string body;  ///< JSON, ends with a newline
  std::string content_type = "application/json";
  std::string for_log;         ///< the target as the log may show it
  std::optional<Query> watch;  ///< set: no body, a stream of these rows follows
};

/// {"error":{"status":…,"message":…}}
[[nodiscard]] std::string error_body(unsigned status, std::string_view message);
[[nodiscard]] ApiAnswer failed(unsigned status, std::string_view message);
[[nodiscard]] ApiAnswer failed(const Error& error);

/// The envelope of every answer.
[[nodiscard]] ApiAnswer envelope(const Target& target, const HistoryFilter& filter, boost::json::array rows,
                                 boost::json::object coverage, bool complete, std::uint64_t cursor,
                                 std::size_t more = 0, std::optional<bool> key_known = std::nullopt,
                                 std::optional<boost::json::object> cannot_tell = std::nullopt);

}  // namespace keytrail::serve
