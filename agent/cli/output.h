// SPDX-License-Identifier: Apache-2.0
// The machine-readable forms of an answer. Pure.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

namespace keytrail::cli {

/// Indented JSON, ends with a newline.
[[nodiscard]] std::string pretty_json(const boost::json::value& value);
[[nodiscard]] std::string to_yaml(const boost::json::value& value);
/// A row a line, then one line {"type":"coverage", …, "complete":…}.
[[nodiscard]] std::string json_lines(const boost::json::object& answer);

}  // namespace keytrail::cli
