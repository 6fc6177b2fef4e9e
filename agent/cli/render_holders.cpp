// SPDX-License-Identifier: Apache-2.0
// The part of render.h that is about getting rid of a key: its holders, readers and copies, a rotation.
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

/// "sshd ×4, bash ×2 and 7 more"
std::string quiet_words(const json::object& others, bool all) {
  const std::size_t most = all ? SIZE_MAX : 8;
  std::string out;
  std::int64_t shown = 0;
  std::size_t programs = 0;
  for (const json::value& value : array(others, "quiet_programs")) {
    if (!value.is_object() || programs++ == most) break;
    const std::int64_t count = number(value.get_object(), "processes");
    shown += count;
    out += fmt::format("{}{}{}", out.empty() ? "" : ", ", printable(text(value.get_object(), "program")),
                       count == 1 ? "" : fmt::format(" ×{}", count));
  }
  const std::int64_t more = number(others, "quiet") - shown;
  return more > 0 ? fmt::format("{} and {} more", out, thousands(more)) : out;
}

std::string quiet_text(const json::object& others, bool all) {
  const std::int64_t quiet = number(others, "quiet");
  if (quiet == 0) return {};
  return fmt::format(
      "! {} process{} not seen from {} start on and connected to nobody since: {}. {}\n", thousands(quiet),
      quiet == 1 ? " was" : "es were", quiet == 1 ? "its" : "their", quiet_words(others, all),
      flag(others, "quiet_counts") ? "Each may hold it: start them again, or leave them out with --ignore-quiet."
                                   : "They were left out: --ignore-quiet.");
}

/// Of whom it is not known whether they have the key. Empty when nothing hides a holder.
std::string cannot_tell_text(const json::object& answer, const View& view) {
  const std::size_t most = view.wide ? SIZE_MAX : 20;
  const json::object& others = object(answer, "cannot_tell");
  Table table({{"CANNOT TELL"}, {"WORKLOAD"}, {"WHY"}, {"TO MAKE SURE"}});
  std::size_t shown = 0;
  for (const json::value& value : array(others, "processes")) {
    if (!value.is_object() || ++shown > most) continue;
    const json::object& one = value.get_object();
    table.add({process_words(one), text(object(object(one, "actor"), "workload"), "name"), text(one, "why"),
               text(one, "to_move")});
  }
  std::string out = table.empty() ? "" : table.text(view.width);
  const std::int64_t more = number(others, "not_listed") + static_cast<std::int64_t>(shown - std::min(shown, most));
  if (more != 0)
    out += fmt::format("! and {} more process{} that cannot be checked\n", thousands(more), more == 1 ? "" : "es");
  if (const std::int64_t over = number(others, "not_followed"); over != 0)
    out += fmt::format("! {} more process{} over the bound of what the agent follows: nothing is known of them\n",
                       thousands(over), over == 1 ? " is" : "es are");
  return out + quiet_text(others, view.wide);
}

std::int64_t cannot_be_told(const json::object& answer) {
  const json::object& others = object(answer, "cannot_tell");
  const std::int64_t quiet = flag(others, "quiet_counts") ? number(others, "quiet") : 0;
  return static_cast<std::int64_t>(array(others, "processes").size()) + number(others, "not_listed") +
         number(others, "not_followed") + quiet;
}

/// "CANNOT TELL: …": nobody is known to have the key, and that is not enough. `holds`: the object with `cannot_tell`.
std::string nobody_seen(const json::object& holds, const json::object& answer, const std::string& id) {
  std::vector<std::string> why;
  if (const std::int64_t untold = cannot_be_told(holds); untold != 0)
    why.push_back(fmt::format("{} process{} cannot be checked", thousands(untold), untold == 1 ? "" : "es"));
  if (const std::int64_t under_way = number(object(holds, "cannot_tell"), "under_way"); under_way != 0)
    why.push_back(fmt::format("{} key file{} being examined or stored right now (ask again)", thousands(under_way),
                              under_way == 1 ? " is" : "s are"));
  if (is_null(object(holds, "cannot_tell"), "quiet")) why.emplace_back("the agent has not looked at all processes yet");
  if (std::string hooks = not_armed_words(answer, false); !hooks.empty()) why.push_back(std::move(hooks));
  for (std::string& reason : reasons_of(answer))
    why.push_back(std::move(reason));
  if (why.empty()) why.emplace_back("the coverage is not complete");
  return fmt::format("CANNOT TELL: no process was seen that holds {}, but {}.\n", id, fmt::join(why, "; "));
}

/// "CLEAR: …", also where somebody was left out on demand.
std::string clear_text(const json::object& answer) {
  const json::object& others = object(answer, "cannot_tell");
  const std::int64_t left_out = flag(others, "quiet_counts") ? 0 : number(others, "quiet");
  if (left_out == 0) return "CLEAR: no process on this node holds it. Other machines were not asked.\n";
  return fmt::format(
      "CLEAR, but for {} process{} left out: no other on this node holds it. Other machines were not "
      "asked.\n",
      thousands(left_out), left_out == 1 ? "" : "es");
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

std::string verdict(const json::object& row, const json::object& answer, const View& view) {
  const std::string state = text(row, "state");
  const json::object& old_side = object(row, "old");
  const std::string old_id = printable(text(old_side, "id"));
  if (state == "done") return "DONE: no process on this node holds " + old_id + ". Other machines were not asked.\n";
  if (state == "cannot_tell") return nobody_seen(row, answer, old_id);
  if (state == "unknown_key") {
    std::string out = "CANNOT TELL: no process holds " + old_id + "; never seen on this node:";
    for (const json::object* side : {&old_side, &object(row, "new")}) {
      if (!flag(*side, "known")) out += " " + printable(text(*side, "id"));
    }
    return out + ". Is the ID right?\n";
  }
  const std::int64_t left = number(old_side, "processes");
  const std::int64_t untold = cannot_be_told(row);
  return fmt::format("NOT DONE: {} of processes, {} of calls moved (since {}); {} process{} to go{}\n",
                     percent(row, "moved_processes"), percent(row, "moved_calls"),
                     format_when(time(row, "calls_since"), view.local), thousands(left), left == 1 ? "" : "es",
                     untold == 0 ? "" : fmt::format(", {} cannot be checked", thousands(untold)));
}

/// What the verdict does not count, and somebody should know before the old key is revoked.
std::string remarks(const json::object& row) {
  const json::object& old_side = object(row, "old");
  const std::string id = printable(text(old_side, "id"));
  std::string out;
  const json::object& new_side = object(row, "new");
  if (!flag(new_side, "known") && number(old_side, "processes") != 0)
    out += fmt::format("! {} was never seen on this node. Is the ID right?\n", printable(text(new_side, "id")));
  if (const std::int64_t calls = number(old_side, "calls"); calls != 0 && number(old_side, "processes") == 0)
    out +=
        fmt::format("! {} call{} with it in the last 10 minutes, by processes that have ended: uses {} --since 10m\n",
                    thousands(calls), calls == 1 ? "" : "s", id);
  if (const std::int64_t issued = number(old_side, "issued_holders"); issued != 0)
    out += fmt::format("! {} process{} a key that was issued from it, which may outlive it: key {} --holders\n",
                       thousands(issued), issued == 1 ? " has" : "es have", id);
  return out;
}

/// Passwords have a tag of their secret at the end of their id: " #5a0c…".
bool same_secret(std::string_view one, std::string_view other) {
  constexpr std::size_t kTag = 18;
  return one.size() > kTag && other.size() > kTag && one.substr(one.size() - kTag).starts_with(" #") &&
         one.substr(one.size() - kTag) == other.substr(other.size() - kTag);
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
    const std::string clear =
        is_complete(answer) ? clear_text(answer) : nobody_seen(answer, answer, printable(view.key));
    return with_coverage(clear + cannot_tell_text(answer, view), answer, view);
  }
  std::int64_t last = 0;
  for (const json::object& row : rows)
    last = std::max(last, time(row, "last_use"));
  const std::size_t count = processes_of(rows);
  const std::int64_t untold = cannot_be_told(answer);
  std::string out =
      fmt::format("NOT CLEAR: {} process{} it{}{}\n", count, count == 1 ? " holds" : "es hold",
                  last == 0 ? " (never seen used)" : fmt::format(" (last use {} ago)", format_age(view.now_ns - last)),
                  untold == 0 ? "" : fmt::format(", {} cannot be checked", thousands(untold)));
  return with_coverage(out + holders_table(rows, view) + cannot_tell_text(answer, view), answer, view);
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
  std::string out = table.text(view.width) + verdict(row, answer, view) + remarks(row);
  std::vector<json::object> holders;
  for (const json::value& one : array(row, "holders")) {
    if (one.is_object()) holders.push_back(one.get_object());
  }
  sort_by_time(holders, "since");
  if (!holders.empty()) out += holders_table(holders, view);
  out += cannot_tell_text(row, view);
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
               id == view.key              ? "key ID"
               : same_secret(id, view.key) ? "same secret"
                                           : "issued from it, or same fingerprint",
               next.empty() ? "as last read" : fmt::format("{} since {}", next, when_words(row, "replaced", view))});
  }
  if (table.empty())
    return empty_text(fmt::format("No place of {} {}.\n", printable(view.key), looked_at(answer, view)), answer, view);
  return with_coverage(fmt::format("{} place{}: {} as last read, {} overwritten\n", rows.size(),
                                   rows.size() == 1 ? "" : "s", current, rows.size() - current) +
                           table.text(view.width),
                       answer, view);
}

std::string render_readers(const json::object& answer, const View& view) {
  std::vector<json::object> rows = rows_of(answer);
  sort_by_time(rows, "last");
  std::vector<Column> columns = {{time_title("FIRST", view)},
                                 {time_title("LAST", view)},
                                 {"COUNT", Align::kRight},
                                 {"WORKLOAD"},
                                 {"PROCESS"},
                                 {"USER"},
                                 {"SESSION"},
                                 {"FROM"},
                                 {"KEY"}};
  if (view.wide) columns.insert(columns.end(), {{"WORKLOAD ID"}, {"EXECUTABLE"}});
  Table table(columns);
  std::int64_t count = 0;
  std::string exec;  // when somebody came in, the last
  for (const json::object& row : rows) {
    const json::object& actor = object(row, "actor");
    const json::object& workload = object(actor, "workload");
    const std::string user = text(actor, "user"), login = text(actor, "login_user");
    count += number(row, "count");
    if (text(actor, "session").starts_with("exec")) exec = std::max(exec, when_words(row, "last", view));
    std::vector<std::string> cells = {
        (flag(row, "baseline") ? "≤ " : "") + when_words(row, "first", view),
        when_words(row, "last", view),
        thousands(number(row, "count")),
        text(workload, "name"),
        process_words(row),
        login.empty() || login == user ? user : std::string(login).append("→").append(user),
        text(actor, "session") + (flag(row, "earlier_sessions") ? " and earlier" : ""),
        slot_words(object(row, "slot")),
        text(object(row, "key"), "id")};
    if (view.wide) {
      cells.push_back(text(workload, "id"));
      cells.push_back(text(actor, "exe"));
    }
    table.add(std::move(cells));
  }
  if (table.empty())
    return empty_text(fmt::format("No acquisition of {} {}.\n", printable(view.key), looked_at(answer, view)), answer,
                      view);
  return with_coverage(fmt::format("{} reader{}, taken {} time{}; a process that reads again and again counts once\n",
                                   rows.size(), rows.size() == 1 ? "" : "s", thousands(count), count == 1 ? "" : "s") +
                           table.text(view.width) +
                           (exec.empty() ? ""
                                         : "exec: entered a running container; person not visible on the node; the API "
                                           "server's audit log at " +
                                               exec + " has the name.\n"),
                       answer, view);
}

}  // namespace keytrail::cli
