// SPDX-License-Identifier: Apache-2.0
// The part of render.h that is about getting rid of a key: its holders, its copies, a rotation.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <utility>

#include "agent/base/log.h"
#include "agent/cli/fields.h"
#include "agent/cli/render_parts.h"
#include "agent/cli/table.h"
#include "agent/cli/when.h"
#include "agent/cli/words.h"

namespace keytrail::cli {

using base::printable;

namespace {

std::string holders_table(std::span<const json::object> rows, const View& view) {
  std::vector<Column> columns = {
      {"WORKLOAD"}, {"PROCESS"},   {time_title("HAS IT SINCE", view)}, {"FROM"}, {time_title("LAST USE", view)},
      {"WHY"},      {"TO MOVE IT"}};
  if (view.wide) columns.insert(columns.end(), {{"KEY"}, {"HOW"}, {"EXECUTABLE"}});
  Table table(columns);
  for (const json::object& row : rows) {
    const json::object& actor = object(row, "actor");
    const std::int64_t used = time(row, "last_use");
    std::vector<std::string> cells = {text(object(actor, "workload"), "name"),
                                      process_words(row),
                                      when_words(row, "since", view),
                                      slot_words(object(row, "slot")),
                                      used == 0 ? "never" : format_when(used, view.local),
                                      text(row, "why"),
                                      text(row, "to_move")};
    if (view.wide) {
      for (std::string cell : {text(object(row, "key"), "id"), text(row, "how"), text(actor, "exe")})
        cells.push_back(std::move(cell));
    }
    table.add(std::move(cells));
  }
  return table.text(view.width);
}

/// A process may have a key from several places: it is one holder.
std::size_t processes_of(std::span<const json::object> rows) {
  std::set<std::pair<std::int64_t, std::int64_t>> processes;
  for (const json::object& row : rows) {
    const json::object& actor = object(row, "actor");
    processes.emplace(number(actor, "pid"), number(actor, "exec"));
  }
  return processes.size();
}

/// "85 %", never rounded up to all or down to none; "-" when there are none.
std::string percent(const json::object& row, Name name) {
  const json::value* share = field(row, name);
  if (share == nullptr || !share->is_number()) return "-";
  const double value = share->to_number<double>();
  const double shown = std::round(value * 100);
  if (value > 0 && value < 1) return fmt::format("{:.0f} %", std::clamp(shown, 1.0, 99.0));
  return fmt::format("{:.0f} %", shown);
}

/// "2026-03-09 09:00:31 (3 calls, then ok)"
std::string refused_words(const json::object& side, const View& view) {
  if (is_null(side, "refused")) return "?";
  const std::int64_t last = time(side, "last_refused"), count = number(side, "refused");
  if (last == 0) return "never";
  return fmt::format("{} ({} call{}{})", format_when(last, view.local), thousands(count), count == 1 ? "" : "s",
                     time(side, "last_ok") > last ? ", then ok" : "");
}

std::string verdict(const json::object& row, const View& view) {
  const std::string state = text(row, "state");
  const json::object& old_side = object(row, "old");
  const std::string old_id = printable(text(old_side, "id"));
  if (state == "done") return "DONE: no process on this node holds " + old_id + ".\n";
  if (state == "cannot_tell")
    return "CANNOT TELL: no process was seen that holds " + old_id + ", but the coverage is not complete.\n";
  if (state == "unknown_key") {
    std::string out = "CANNOT TELL: no process holds " + old_id + "; never seen on this node:";
    for (const json::object* side : {&old_side, &object(row, "new")}) {
      if (!flag(*side, "known")) out += " " + printable(text(*side, "id"));
    }
    return out + ". Is the ID right?\n";
  }
  const std::int64_t left = number(old_side, "processes");
  return fmt::format("NOT DONE: {} of processes, {} of calls moved (since {}); {} process{} to go\n",
                     percent(row, "moved_processes"), percent(row, "moved_calls"),
                     format_when(time(row, "calls_since"), view.local), thousands(left), left == 1 ? "" : "es");
}

/// What the verdict does not count, and somebody should know before the old key is revoked.
std::string remarks(const json::object& row) {
  const json::object& old_side = object(row, "old");
  const std::string id = printable(text(old_side, "id"));
  std::string out;
  if (const std::int64_t calls = number(old_side, "calls"); calls != 0 && number(old_side, "processes") == 0)
    out +=
        fmt::format("! {} call{} with it in the last 10 minutes, by processes that have ended: uses {} --since 10m\n",
                    thousands(calls), calls == 1 ? "" : "s", id);
  if (const std::int64_t issued = number(old_side, "issued_holders"); issued != 0)
    out += fmt::format("! {} process{} a key that was issued from it, which may outlive it: key {} --holders\n",
                       thousands(issued), issued == 1 ? " has" : "es have", id);
  return out;
}

}  // namespace

std::string render_holders(const json::object& answer, const View& view) {
  std::vector<json::object> rows = rows_of(answer);
  sort_by_time(rows, "since");
  if (rows.empty() && is_unknown_key(answer))
    return with_coverage(
        fmt::format("CANNOT TELL: {} was never seen on this node. Is the ID right?\n", printable(view.key)), answer,
        view);
  if (rows.empty()) {
    const char* clear = is_complete(answer) ? "CLEAR: no process on this node holds it."
                                            : "CANNOT TELL: no holder was seen, but the coverage is not complete.";
    return with_coverage(fmt::format("{}\n", clear), answer, view);
  }
  std::int64_t last = 0;
  for (const json::object& row : rows)
    last = std::max(last, time(row, "last_use"));
  const std::size_t count = processes_of(rows);
  std::string out =
      fmt::format("NOT CLEAR: {} process{} it{}\n", count, count == 1 ? " holds" : "es hold",
                  last == 0 ? " (never seen used)" : fmt::format(" (last use {} ago)", format_age(view.now_ns - last)));
  return with_coverage(out + holders_table(rows, view), answer, view);
}

std::string render_rotation(const json::object& answer, const View& view) {
  const std::vector<json::object> rows = rows_of(answer);
  if (rows.empty()) return with_coverage("CANNOT TELL: the agent gave no answer.\n", answer, view);
  const json::object& row = rows.front();
  Table table({{"KEY"},
               {"PROCESSES", Align::kRight},
               {"CALLS 10 MIN", Align::kRight},
               {time_title("LAST USE", view)},
               {time_title("LAST REFUSED", view)}});
  const auto add = [&](const char* which, const json::object& side) {
    const std::int64_t used = time(side, "last_use");
    table.add({fmt::format("{} {}", which, text(side, "id")), thousands(number(side, "processes")),
               thousands(number(side, "calls")),
               used != 0             ? format_when(used, view.local)
               : flag(side, "known") ? "never"
                                     : "never seen",
               refused_words(side, view)});
  };
  add("old", object(row, "old"));
  add("new", object(row, "new"));
  std::string out = table.text(view.width) + verdict(row, view) + remarks(row);
  std::vector<json::object> holders;
  for (const json::value& one : array(row, "holders")) {
    if (one.is_object()) holders.push_back(one.get_object());
  }
  sort_by_time(holders, "since");
  if (!holders.empty()) out += holders_table(holders, view);
  if (table.has_unknown()) out += "? = not visible: no answer of the provider was readable.\n";
  return with_coverage(std::move(out), answer, view);
}

std::string render_copies(const json::object& answer, const View& view) {
  Table table({{"PLACE"},
               {"NODE"},
               {time_title("THERE SINCE", view)},
               {time_title("LAST READ", view)},
               {"BY"},
               {"KEY"},
               {"MATCHED BY"},
               {"NOW"}});
  const std::string node = text(object(answer, "coverage"), "scope");
  std::size_t current = 0;
  const std::vector<json::object> rows = rows_of(answer);
  for (const json::object& row : rows) {
    const json::object& actor = object(row, "actor");
    const std::string workload = text(object(actor, "workload"), "name"), next = text(row, "replaced_by");
    const bool process = number(actor, "pid") != 0;
    const std::string by = process ? process_words(row) + (workload.empty() ? "" : " " + workload) : workload;
    const std::string from = text(object(row, "slot"), "from");
    const std::string id = text(object(row, "key"), "id");
    current += next.empty() ? 1U : 0U;
    table.add({slot_words(object(row, "slot")), node, "≤ " + when_words(row, "first", view),
               from == "environment" || from == "argument" ? "at start" : when_words(row, "last", view), by, id,
               id == view.key ? "key ID" : "issued from it, or same fingerprint",
               next.empty() ? "as last read" : fmt::format("{} since {}", next, when_words(row, "replaced", view))});
  }
  if (table.empty())
    return with_coverage(fmt::format("No place of {} {}{}.\n", printable(view.key), looked_at(answer, view),
                                     is_unknown_key(answer) ? ": it was never seen on this node" : ""),
                         answer, view);
  return with_coverage(fmt::format("{} place{}: {} as last read, {} overwritten\n", rows.size(),
                                   rows.size() == 1 ? "" : "s", current, rows.size() - current) +
                           table.text(view.width),
                       answer, view);
}

}  // namespace keytrail::cli
