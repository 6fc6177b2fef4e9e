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
/// For an empty answer that says nothing, a line why: the key was never seen here, or the period is not in the history.
/// Empty for every other.
[[nodiscard]] std::string cannot_say(const boost::json::object& answer, const View& view);
/// An empty answer: what `cannot_say` says, or else `none`; and the coverage.
[[nodiscard]] std::string empty_text(const std::string& none, const boost::json::object& answer, const View& view);
/// What keeps an answer from being complete, in words; gaps, which have lines of their own, are left out.
[[nodiscard]] std::vector<std::string> reasons_of(const boost::json::object& answer);
/// "not armed: open": the families whose absence is a limit, `optional` ones too; empty where there is none.
[[nodiscard]] std::string not_armed_words(const boost::json::object& answer, bool optional);
/// For an empty answer: "seen 2026-… to 2026-… on x".
[[nodiscard]] std::string looked_at(const boost::json::object& answer, const View& view);
[[nodiscard]] std::string with_coverage(std::string text, const boost::json::object& answer, const View& view);

}  // namespace keytrail::cli
