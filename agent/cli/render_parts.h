// SPDX-License-Identifier: Apache-2.0
// What the files of render.h share: the rows of an answer and their order, what was looked at, the coverage at the end.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "agent/cli/names.h"
#include "agent/cli/render.h"

namespace keytrail::cli {

[[nodiscard]] std::vector<boost::json::object> rows_of(const boost::json::object& answer);
/// Oldest first; equal times keep their order.
void sort_by_time(std::vector<boost::json::object>& rows, Name name);
/// For an empty answer: "seen 2026-… to 2026-… on x".
[[nodiscard]] std::string looked_at(const boost::json::object& answer, const View& view);
[[nodiscard]] std::string with_coverage(std::string text, const boost::json::object& answer, const View& view);

}  // namespace keytrail::cli
