// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/render_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/base/log.h"
#include "agent/cli/fields.h"
#include "agent/cli/when.h"

namespace keytrail::cli {

std::vector<json::object> rows_of(const json::object& answer) {
  std::vector<json::object> out;
  for (const json::value& row : array(answer, "rows")) {
    if (row.is_object()) out.push_back(row.get_object());
  }
  return out;
}

// std::stable_sort of libstdc++ 12 uses what clang calls deprecated.
void sort_by_time(std::vector<json::object>& rows, Name name) {
  std::vector<std::pair<std::int64_t, std::size_t>> order;
  order.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    order.emplace_back(time(rows[i], name), i);
  std::ranges::sort(order);
  std::vector<json::object> sorted;
  sorted.reserve(rows.size());
  for (const auto& [at, i] : order)
    sorted.push_back(std::move(rows[i]));
  rows = std::move(sorted);
}

std::string cannot_say(const json::object& answer, const View& view) {
  if (!array(answer, "rows").empty()) return {};
  const json::object& coverage = object(answer, "coverage");
  const std::string node = base::printable(text(coverage, "scope"));
  const std::int64_t begin = time(coverage, "from");
  if (is_unknown_key(answer))
    return fmt::format(
        "Never seen on {}: no process held or used {}, and no watched file has it. Not looked at: files nobody opened, "
        "other machines, before {}. Is the ID right?\n",
        node, base::printable(view.key.empty() ? "this key" : view.key), format_when_zone(begin, view.local));
  if (is_unknown_workload(answer))
    return fmt::format(
        "Never seen on {}: no workload of this name took, held or used a key. Not looked at: other machines, before "
        "{}. "
        "Is the name right? keytrail workloads lists them.\n",
        node, format_when_zone(begin, view.local));
  const std::int64_t since = time(object(answer, "asked"), "since"), until = time(object(answer, "asked"), "until");
  if (until != 0 && until <= begin)
    return fmt::format("CANNOT TELL: the period ends {}, before what {} has recorded begins: {}.\n",
                       format_when_zone(until, view.local), node, format_when_zone(begin, view.local));
  for (const json::value& value : array(coverage, "unwatched")) {
    const bool all = value.is_object() && until != 0 && time(value.get_object(), "from") <= std::max(since, begin) &&
                     time(value.get_object(), "to") >= until;
    if (all) return fmt::format("CANNOT TELL: nothing of that period was watched on {}.\n", node);
  }
  if (since > view.now_ns)
    return fmt::format("CANNOT TELL: the period begins in the future, {}.\n", format_when_zone(since, view.local));
  return {};
}

std::string empty_text(const std::string& none, const json::object& answer, const View& view) {
  const std::string why = cannot_say(answer, view);
  return with_coverage(why.empty() ? none : why, answer, view);
}

std::string looked_at(const json::object& answer, const View& view) {
  const json::object& coverage = object(answer, "coverage");
  std::string narrowed;
  for (const auto& [name, value] : object(object(answer, "asked"), "parameters")) {
    constexpr std::string_view kNone[] = {"key", "chain", "kinds", "lifetime", "since", "until", "after", "limit"};
    if (!value.is_string() || std::ranges::find(kNone, std::string_view(name)) != std::end(kNone)) continue;
    narrowed += fmt::format("{}{} {}", narrowed.empty() ? "with " : ", ", base::printable(name),
                            base::printable(value.get_string()));
  }
  return fmt::format("{}{}seen {} to {} on {}", narrowed, narrowed.empty() ? "" : " ",
                     format_when_zone(time(coverage, "from"), view.local),
                     format_when_zone(time(coverage, "to"), view.local), base::printable(text(coverage, "scope")));
}

std::string with_coverage(std::string text, const json::object& answer, const View& view) {
  return view.show_coverage ? std::move(text) + coverage_text(answer, view) : text;
}

}  // namespace keytrail::cli
