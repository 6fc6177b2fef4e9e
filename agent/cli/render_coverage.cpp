// SPDX-License-Identifier: Apache-2.0
// The part of render.h that says what limits an answer: its last line, and the gaps above it.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/base/log.h"
#include "agent/cli/fields.h"
#include "agent/cli/render.h"
#include "agent/cli/render_parts.h"
#include "agent/cli/when.h"
#include "agent/cli/words.h"
#include "keytrail/event.h"
#include "keytrail/hooks.h"
#include "keytrail/row.h"

namespace keytrail::cli {

using base::printable;

namespace {

/// A gap that the kernel's counters prove empty hides nothing.
bool hides(const json::object& gap) { return is_null(gap, "lost") || number(gap, "lost") != 0; }

std::string gap_line(const json::object& gap, const View& view) {
  const std::string cause = text(gap, "cause");
  const std::string lost = is_null(gap, "lost") ? "an unknown number" : thousands(number(gap, "lost"));
  const std::string family = text(gap, "family"), scope = text(gap, "scope");
  const std::int64_t from = time(gap, "from");
  return fmt::format("! GAP {} to {} {}{}{}: {} {}. {}\n", from == 0 ? "before" : format_when(from, view.local),
                     format_when(time(gap, "to"), view.local), printable(cause),
                     family.empty() ? "" : " (" + printable(family) + ")",
                     scope.empty() ? "" : ", of " + printable(scope) + " only", lost,
                     cause == kFilesUnread ? "not read" : "lost", printable(text(gap, "text")));
}

/// What hides something in the asked period.
struct Gaps {
  std::size_t count = 0;
  std::int64_t lost = 0;
  bool lost_known = true;

  void add(const json::object& gap) {
    ++count;
    lost += number(gap, "lost");
    lost_known = lost_known && !is_null(gap, "lost");
  }
};

std::int64_t all_unread(const json::object& coverage) {
  const json::object& unread = object(coverage, "files_unread");
  std::int64_t out = 0;
  for (const auto& [reason, value] : unread)
    out += counter(unread, reason);
  return out;
}

/// "3 key files not read (2 gone, 1 refused)", "1 key file not read (gone)", or "".
std::string unread_words(const json::object& coverage) {
  const json::object& unread = object(coverage, "files_unread");
  const std::int64_t all = all_unread(coverage);
  std::string why;
  for (const auto& [reason, value] : unread) {
    const std::int64_t count = counter(unread, reason);
    if (reason.empty()) continue;
    why += (why.empty() ? "" : ", ") + (unread.size() == 1 ? "" : thousands(count) + " ") + printable(reason);
  }
  if (all == 0) return "";
  return fmt::format("{} key file{} not read{}", thousands(all), all == 1 ? "" : "s",
                     why.empty() ? "" : " (" + why + ")");
}

/// Not armed, lost, gaps, fallbacks: each only where there is one.
std::string limits(const json::object& answer, const Gaps& gaps) {
  const json::object& coverage = object(answer, "coverage");
  std::string out;
  const std::string path = text(object(answer, "asked"), "path");
  // Without requests uses are less sure; what is held is not.
  const bool of_uses = path.starts_with("/v1/uses") || path.starts_with("/v1/rotation") ||
                       path.starts_with("/v1/explain") || path.starts_with("/v1/status");
  if (const std::string hooks = not_armed_words(answer, of_uses); !hooks.empty()) out += " · " + hooks;
  std::string fallbacks;
  for (const json::value& value : array(coverage, "fallbacks")) {
    if (value.is_object()) fallbacks += (fallbacks.empty() ? "" : ", ") + printable(text(value.get_object(), "family"));
  }
  if (!fallbacks.empty()) out += " · sees less (see doctor): " + fallbacks;
  for (const std::string& reason : reasons_of(answer))
    out += " · " + reason;
  if (const std::string unread = unread_words(coverage); !unread.empty()) out += " · " + unread;
  if (gaps.count != 0) {
    out += fmt::format(" · {} gap{}, {} lost", thousands(static_cast<std::int64_t>(gaps.count)),
                       gaps.count == 1 ? "" : "s", gaps.lost_known ? thousands(gaps.lost) : "an unknown number");
  }
  return out;
}

/// Time that was not watched, but for what a gap of the answer names anyway.
std::string unwatched_lines(const json::object& coverage, const View& view) {
  constexpr std::size_t kLines = 3;
  const auto named = [&](const json::object& hole) {
    return std::ranges::any_of(array(coverage, "gaps"), [&](const json::value& gap) {
      return gap.is_object() && time(gap.get_object(), "from") <= time(hole, "from") &&
             time(gap.get_object(), "to") >= time(hole, "to");
    });
  };
  std::string out;
  std::size_t count = 0;
  for (const json::value& value : array(coverage, "unwatched")) {
    // What lies before the beginning is said of the whole answer.
    if (!value.is_object() || text(value.get_object(), "why") != "not_watched" || named(value.get_object())) continue;
    const json::object& hole = value.get_object();
    if (++count <= kLines)
      out += fmt::format("! NOT WATCHED {} to {}\n", format_when(time(hole, "from"), view.local),
                         format_when(time(hole, "to"), view.local));
  }
  if (count > kLines) out += fmt::format("! {} more times not watched: -o json lists them\n", count - kLines);
  return out;
}

}  // namespace

std::string not_armed_words(const json::object& answer, bool optional) {
  const json::object& coverage = object(answer, "coverage");
  if (array(coverage, "families").empty()) return "no hooks armed";
  std::string out;
  for (const json::value& value : array(coverage, "not_armed")) {
    if (!value.is_string()) continue;
    const auto family = from_word<Family>(std::string_view(value.get_string()));
    if (family && entry_of(*family).optional && !optional) continue;
    out += (out.empty() ? "not armed: " : ", ") + printable(value.get_string());
  }
  return out;
}

std::vector<std::string> reasons_of(const json::object& answer) {
  constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"before_history", "nothing is recorded of the time before"},
      {"evicted", "what was before was removed from the history"},
      {"not_watched", "not all of it was watched"},
      {"from_after_to", "the period is empty"},
      {"unsaved", "rows wait unsaved (see status)"},
      {"history_error", "the history has an error (see status)"},
      {"gaps_not_all_known", "not all gaps were looked at (ask again)"},
      {"unknown_key", "the key was never seen here"},
      {"unknown_workload", "the workload was never seen here"},
      {"hook_not_armed", ""},  // not_armed_words names them
      {"gap", ""}};
  std::vector<std::string> out;
  for (const json::value& value : array(object(answer, "coverage"), "why")) {
    if (!value.is_string()) continue;
    const std::string_view why(value.get_string());
    const auto* known = std::ranges::find(kWords, why, &std::pair<std::string_view, std::string_view>::first);
    std::string said = known == std::end(kWords) ? printable(why) : std::string(known->second);
    if (!said.empty()) out.push_back(std::move(said));
  }
  return out;
}

std::string coverage_text(const json::object& answer, const View& view) {
  constexpr std::size_t kGapLines = 3;
  const json::object& coverage = object(answer, "coverage");
  std::string out;
  Gaps gaps;
  std::size_t shown = 0;
  for (const json::value& value : array(coverage, "gaps")) {
    if (!value.is_object() || !hides(value.get_object())) continue;
    const json::object& gap = value.get_object();
    if (text(gap, "cause") != kFilesUnread) gaps.add(gap);  // those the line below tells in its own words
    if (++shown <= kGapLines) out += gap_line(gap, view);
  }
  // The list of gaps is bounded, their number is not; those that are not listed may hide something.
  const std::int64_t unlisted =
      number(coverage, "gaps_total") - static_cast<std::int64_t>(array(coverage, "gaps").size());
  if (unlisted > 0) {
    gaps.count += static_cast<std::size_t>(unlisted);
    shown += static_cast<std::size_t>(unlisted);
    gaps.lost = number(coverage, "lost") - all_unread(coverage);  // of which the line below tells
    gaps.lost_known = !is_null(coverage, "lost");
  }
  if (shown > kGapLines) out += fmt::format("! {} more gaps: -o json lists them\n", shown - kGapLines);
  if (const std::int64_t more = number(answer, "more"); more != 0)
    out += fmt::format("! {} more: narrow it, or raise --limit.\n", thousands(more));
  // Of keys, the table above has them.
  const auto undecided = static_cast<std::int64_t>(array(answer, "undecided").size());
  if (undecided != 0 && text(object(answer, "asked"), "path") != "/v1/keys")
    out +=
        fmt::format("! {} more may be of {} keys: how long theirs last is not known; --lifetime unknown lists them.\n",
                    thousands(undecided), printable(text(object(object(answer, "asked"), "parameters"), "lifetime")));
  if (!is_null(answer, "cursor"))
    out += "! More rows than shown: narrow it with --since, --until or --key, or raise --limit.\n";
  out += unwatched_lines(coverage, view);
  out += fmt::format("Coverage: node {} · {} to {}{} · {}\n", printable(text(coverage, "scope")),
                     format_when_zone(time(coverage, "from"), view.local),
                     format_when_zone(time(coverage, "to"), view.local), limits(answer, gaps),
                     is_complete(answer) ? "complete" : "INCOMPLETE");
  return out;
}

}  // namespace keytrail::cli
