// SPDX-License-Identifier: Apache-2.0
// Rows and summaries as JSON, written from their descriptions (include/keytrail/fields.h).
// All text is valid UTF-8 without control characters; times are RFC 3339 in UTC with ns; what is not known is null.
// Pure; any thread.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "keytrail/history_reader.h"
#include "keytrail/row.h"

namespace keytrail::serve {

[[nodiscard]] boost::json::object to_json(const Row& row);
[[nodiscard]] std::string to_json_text(const Row& row);

[[nodiscard]] boost::json::object to_json(const Actor& actor);
[[nodiscard]] boost::json::object to_json(const Edge& edge);
[[nodiscard]] boost::json::object to_json(const Holding& holding);
[[nodiscard]] boost::json::object to_json(const KeySummary& summary);
[[nodiscard]] boost::json::object to_json(const KeyPlace& place);
[[nodiscard]] boost::json::object to_json(const KeyReader& reader);
[[nodiscard]] boost::json::object to_json(const WorkloadSummary& summary);
[[nodiscard]] boost::json::object to_json(const GapRow& gap);
[[nodiscard]] boost::json::object to_json(const HistoryStatus& status);

/// A time, or null for 0 (= not known, never).
[[nodiscard]] boost::json::value time_or_null(std::int64_t unix_ns);

}  // namespace keytrail::serve
