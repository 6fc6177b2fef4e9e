// SPDX-License-Identifier: Apache-2.0
// What is sent back: the envelope of every answer, and errors. Pure; any thread.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/serve/query.h"
#include "keytrail/history_reader.h"
#include "keytrail/result.h"

namespace keytrail::serve {

struct ApiAnswer {
  unsigned status = 200;
  std::string body;  ///< JSON, ends with a newline
  std::string content_type = "application/json";
  std::string for_log;                  ///< the target as the log may show it
  std::vector<std::string> known_keys;  ///< that were asked for and are of this node: the log may name them
  std::optional<Query> watch;           ///< set: no body, a stream of these rows follows
};

// Words for programs where the status alone does not tell why. Everything else has the status's own word.
inline constexpr char kFromAfterTo[] = "from_after_to";  ///< an empty period: nothing can be told of it
inline constexpr char kNowOnly[] = "now_only";           ///< a question about now does not take a period
inline constexpr char kSecret[] = "secret";              ///< a secret was typed
inline constexpr char kBusy[] = "busy";                  ///< too many at once: try again in a moment

/// {"error":{"status":…,"code":…,"message":…}}. `code`: one of those above; empty = by the status.
[[nodiscard]] std::string error_body(unsigned status, std::string_view message, std::string_view code = {});
[[nodiscard]] ApiAnswer failed(unsigned status, std::string_view message, std::string_view code = {});
[[nodiscard]] ApiAnswer failed(const Error& error);

/// Whether what was asked for was ever seen on this node: that nobody holds a key, or that a workload has none, says
/// nothing of one that nobody knows. Absent: none was asked for.
struct Known {
  std::optional<bool> key, workload;
};

/// The envelope of every answer; nothing is complete about what was never seen here. `undecided`: what may belong to
/// the rows as well, and nobody can tell.
[[nodiscard]] ApiAnswer envelope(const Target& target, const HistoryFilter& filter, boost::json::array rows,
                                 boost::json::object coverage, bool complete, std::uint64_t cursor,
                                 std::size_t more = 0, const Known& known = {},
                                 std::optional<boost::json::object> cannot_tell = std::nullopt,
                                 std::optional<boost::json::array> undecided = std::nullopt);

}  // namespace keytrail::serve
