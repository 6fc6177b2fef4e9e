// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <tuple>

#include "agent/base/log.h"
#include "agent/cli/fields.h"
#include "agent/cli/render_parts.h"
#include "agent/cli/table.h"
#include "agent/cli/when.h"
#include "agent/cli/words.h"
#include "keytrail/row.h"

namespace keytrail::cli {

using base::printable;

namespace {

constexpr char kUnknownNote[] =
    "? = not visible: the request was not readable, or the key did not cross a watched boundary.\n";

/// Access keys and encryption keys are never mixed: (the first, the second).
template <typename IsEncryption>
std::pair<std::vector<json::object>, std::vector<json::object>> apart(std::vector<json::object> rows,
                                                                      IsEncryption is_encryption_row) {
  std::pair<std::vector<json::object>, std::vector<json::object>> out;
  for (json::object& row : rows)
    (is_encryption_row(row) ? out.second : out.first).push_back(std::move(row));
  return out;
}

bool uses_encryption_key(const json::object& use) {
  const json::array& keys = array(use, "keys");
  return !keys.empty() && keys[0].is_object() && is_encryption(object(keys[0].get_object(), "key"));
}

std::string uses_table(const std::vector<json::object>& rows, const View& view) {
  std::vector<Column> columns = {
      {time_title("FIRST", view)}, {time_title("LAST", view)}, {"COUNT", Align::kRight}, {"WORKLOAD"}, {"PROCESS"}};
  const bool with_key = view.key.empty() || view.wide || std::ranges::any_of(rows, [&](const json::object& row) {
                          return !key_words(row, view.key).starts_with(view.key);
                        });
  if (with_key) columns.push_back({"KEY"});
  columns.insert(columns.end(), {{"CALLED"}, {"RESULT"}, {"EVIDENCE"}, {"WHY"}});
  if (view.wide)
    columns.insert(columns.end(), {{"SERVICE ACCOUNT"},
                                   {"CI JOB (CLAIMED)"},
                                   {"HOST"},
                                   {"NAME BY"},
                                   {"EXECUTABLE"},
                                   {"VIA"},
                                   {"SENT B", Align::kRight},
                                   {"RECEIVED B", Align::kRight},
                                   {"SEQ", Align::kRight}});
  Table table(columns);
  bool connections = false, none = false;
  for (const json::object& row : rows) {
    const json::object& actor = object(row, "actor");
    const json::object& destination = object(row, "destination");
    const std::string count = count_words(row);
    none = none || count == "-";
    connections = connections || (count != "-" && is_null(row, "requests"));
    const std::string outcome = text(row, "outcome");
    std::vector<std::string> cells = {when_words(row, "first", view), when_words(row, "last", view), count,
                                      text(object(actor, "workload"), "name"), process_words(row)};
    if (with_key) cells.push_back(key_words(row, view.key));
    for (std::string cell : {called_words(destination), outcome == "unknown" ? std::string("?") : outcome,
                             text(row, "evidence"), why_words(row)}) {
      cells.push_back(std::move(cell));
    }
    if (view.wide) {
      const std::string host = text(destination, "host");
      const json::object& workload = object(actor, "workload");
      for (std::string cell : {fact_of(workload, fact::kServiceAccount), fact_of(workload, fact::kCiJob),
                               host.empty() ? text(destination, "address") : host, text(destination, "name_source"),
                               text(actor, "exe"), text(row, "via"), thousands(number(row, "bytes_sent")),
                               thousands(number(row, "bytes_received")), std::to_string(number(row, "seq"))}) {
        cells.push_back(std::move(cell));
      }
    }
    table.add(std::move(cells));
  }
  std::string out = table.text(view.width);
  if (table.has_unknown()) out += kUnknownNote;
  if (connections) out += "COUNT = connections where requests are not visible.\n";
  if (none) out += "COUNT - = no call of this time: what earlier ones still sent or received.\n";
  return out;
}

std::string joined(const json::array& list) {
  std::string out;
  for (const json::value& item : list) {
    if (item.is_string()) out += (out.empty() ? "" : ", ") + printable(item.get_string());
  }
  return out;
}

std::string used_for(const json::object& row) {
  std::string out;
  for (const json::value& place : array(row, "used_for")) {
    if (place.is_string()) out += (out.empty() ? "" : ", ") + used_for_words(std::string_view(place.get_string()));
  }
  return out;
}

std::string age_or_expiry(const json::object& row, const View& view) {
  const json::object& key = object(row, "key");
  if (const std::int64_t expires = time(key, "expires"); expires != 0)
    return (expires < view.now_ns ? "expired " : "exp ") + format_when(expires, view.local);
  if (const std::int64_t issued = time(key, "issued"); issued != 0) return format_age(view.now_ns - issued);
  const std::int64_t first = time(row, "first_seen");
  return first == 0 ? "?" : "≥ " + format_age(view.now_ns - first);
}

std::string first_slot(const json::object& row) {
  const json::array& slots = array(row, "slots");
  if (slots.empty() || !slots[0].is_object()) return "-";
  std::string out = slot_words(slots[0].get_object());
  if (slots.size() > 1) out += fmt::format(" +{}", slots.size() - 1);
  return out;
}

std::string all_slots(const json::object& row) {
  std::string out;
  for (const json::value& slot : array(row, "slots")) {
    if (slot.is_object()) out += (out.empty() ? "" : "; ") + slot_words(slot.get_object());
  }
  return out;
}

/// "AKIA… 2026-03-09 09:00:12"
std::string replaced_words(const json::object& row, const View& view) {
  const std::string next = text(row, "replaced_by");
  return next.empty() ? "" : next + " " + when_words(row, "replaced", view);
}

std::string keys_table(const std::vector<json::object>& rows, const char* title, const View& view) {
  std::vector<Column> columns = {{title},      {"KIND"},     {"LIFETIME"}, {"AGE / EXPIRES"},
                                 {"FROM"},     {"USED FOR"}, {"LAST USE"}, {"HELD BY", Align::kRight},
                                 {"WORKLOADS"}};
  if (view.wide)
    columns.insert(columns.end(),
                   {{time_title("FIRST SEEN", view)}, {"PRINCIPAL"}, {"PARENT"}, {"FINGERPRINT"}, {"REPLACED BY"}});
  Table table(columns);
  for (const json::object& row : rows) {
    const json::object& key = object(row, "key");
    const std::int64_t last = time(row, "last_use");
    const std::string id = text(key, "id");
    std::vector<std::string> cells = {id.empty() ? "?" : id,
                                      kind_words(text(key, "kind")),
                                      lifetime_words(text(key, "lifetime")),
                                      age_or_expiry(row, view),
                                      view.wide ? all_slots(row) : first_slot(row),
                                      used_for(row),
                                      last == 0 ? "never" : format_age(view.now_ns - last),
                                      thousands(number(row, "holders")),
                                      joined(array(row, "workloads"))};
    if (view.wide) {
      for (std::string cell : {when_words(row, "first_seen", view), text(key, "principal"), text(key, "parent"),
                               text(key, "fingerprint"), replaced_words(row, view)}) {
        cells.push_back(std::move(cell));
      }
    }
    table.add(std::move(cells));
  }
  return table.text(view.width) + (table.has_unknown() ? "? = not visible on this node.\n" : "");
}

}  // namespace

bool is_complete(const json::object& answer) { return flag(answer, "complete"); }
bool is_unknown_key(const json::object& answer) {
  const json::value* known = field(answer, "key_known");
  return known != nullptr && known->is_bool() && !known->get_bool();
}
bool is_unknown_workload(const json::object& answer) {
  const json::value* known = field(answer, "workload_known");
  return known != nullptr && known->is_bool() && !known->get_bool();
}

std::string render_uses(const json::object& answer, const View& view) {
  std::vector<json::object> rows = rows_of(answer);
  sort_by_time(rows, "last");
  if (rows.empty()) {
    return empty_text(
        fmt::format("No use{} {}.\n", view.key.empty() ? "" : " of " + printable(view.key), looked_at(answer, view)),
        answer, view);
  }
  const auto [access, others] = apart(std::move(rows), uses_encryption_key);
  std::string out = access.empty() ? "" : uses_table(access, view);
  if (!others.empty()) out += (out.empty() ? "" : "\n") + std::string("ENCRYPTION KEYS\n") + uses_table(others, view);
  return with_coverage(std::move(out), answer, view);
}

namespace {

/// "long-lived" where keys of one lifetime were asked for.
std::string asked_lifetime(const json::object& answer) {
  if (is_null(answer, "undecided")) return {};
  std::string word = text(object(object(answer, "asked"), "parameters"), "lifetime");
  std::ranges::replace(word, '_', '-');
  return printable(word);
}

/// Any of them may live as long as was asked.
std::string undecided_text(const json::object& answer, const std::string& lifetime, const View& view) {
  std::vector<json::object> keys;
  for (const json::value& one : array(answer, "undecided")) {
    if (one.is_object()) keys.push_back(one.get_object());
  }
  if (keys.empty()) return {};
  std::string out =
      fmt::format("! {} key{} may be {}: how long {} last{} is not known\n", thousands(std::ssize(keys)),
                  keys.size() == 1 ? "" : "s", lifetime, keys.size() == 1 ? "it" : "they", keys.size() == 1 ? "s" : "");
  return out + keys_table(keys, "LIFETIME UNKNOWN", view);
}

}  // namespace

std::string render_keys(const json::object& answer, const View& view) {
  std::vector<json::object> rows = rows_of(answer);
  sort_by_time(rows, "last_use");
  const std::string lifetime = asked_lifetime(answer);
  if (rows.empty() && (lifetime.empty() || !cannot_say(answer, view).empty())) {
    if (!view.key.empty()) {
      return empty_text(fmt::format("Never {}: no process held or used {}, and no watched file has it. Not looked "
                                    "at: files nobody opened, other machines.\n",
                                    looked_at(answer, view), printable(view.key)),
                        answer, view);
    }
    return empty_text(fmt::format("No keys {}.\n", looked_at(answer, view)), answer, view);
  }
  const auto [access, others] =
      apart(std::move(rows), [](const json::object& row) { return is_encryption(object(row, "key")); });
  std::string out = access.empty() ? "" : keys_table(access, "ACCESS KEYS", view);
  if (access.empty() && !lifetime.empty())
    out = fmt::format("No {} key{} {}.\n", lifetime, array(answer, "undecided").empty() ? "" : " for certain",
                      looked_at(answer, view));
  if (!others.empty()) out += (out.empty() ? "" : "\n") + keys_table(others, "ENCRYPTION KEYS", view);
  if (!lifetime.empty()) out += undecided_text(answer, lifetime, view);
  return with_coverage(std::move(out), answer, view);
}

namespace {

/// Equal findings: the newest, and how many.
struct FindingGroup {
  json::object last;
  std::int64_t count = 0;
};

std::string findings_table(std::span<FindingGroup* const> list, const View& view) {
  std::vector<Column> columns = {{time_title("LAST", view)}, {"SEV"},    {"TYPE"},  {"KEY"}, {"WORKLOAD"},
                                 {"COUNT", Align::kRight},   {"ATT&CK"}, {"STATE"}, {"WHAT"}};
  if (view.wide) columns.insert(columns.end(), {{"PROCESS"}, {"SLOT"}, {"SEQ", Align::kRight}});
  Table table(columns);
  for (const FindingGroup* group : list) {
    const json::object& row = group->last;
    const std::string severity = text(row, "severity");
    std::vector<std::string> cells = {when_words(row, "time", view),
                                      severity == "medium" ? "med" : severity,
                                      text(row, "finding_type"),
                                      text(object(row, "key"), "id"),
                                      text(object(object(row, "actor"), "workload"), "name"),
                                      thousands(group->count),
                                      joined(array(row, "attack")),
                                      text(row, "state"),
                                      text(row, "text")};
    if (view.wide) {
      for (std::string cell : {process_words(row), slot_words(object(row, "slot")), std::to_string(number(row, "seq"))})
        cells.push_back(std::move(cell));
    }
    table.add(std::move(cells));
  }
  return table.text(view.width);
}

}  // namespace

std::string render_findings(const json::object& answer, const View& view) {
  std::map<std::tuple<std::string, std::string, std::string, std::string>, FindingGroup> groups;
  for (json::object& row : rows_of(answer)) {
    FindingGroup& group = groups[{text(row, "finding_type"), text(object(row, "key"), "id"),
                                  text(object(object(row, "actor"), "workload"), "name"), text(row, "subject")}];
    ++group.count;
    group.last = std::move(row);
  }
  if (groups.empty()) return empty_text(fmt::format("No open findings {}.\n", looked_at(answer, view)), answer, view);
  std::vector<FindingGroup*> list;
  list.reserve(groups.size());
  for (auto& [id, group] : groups)
    list.push_back(&group);
  const auto encryption = [](const FindingGroup* group) { return is_encryption(object(group->last, "key")); };
  std::ranges::sort(list, {}, [&](const FindingGroup* group) {
    return std::tuple(encryption(group), time(group->last, "time"), number(group->last, "seq"));
  });
  const auto border = std::ranges::find_if(list, encryption);
  std::string out = border == list.begin() ? "" : findings_table({list.begin(), border}, view);
  if (border != list.end()) out += "ENCRYPTION KEYS\n" + findings_table({border, list.end()}, view);
  return with_coverage(std::move(out), answer, view);
}

namespace {

/// The time, or the interval when it is long: looks at a file are seconds apart.
std::string replaced_when(const json::object& row, const View& view) {
  constexpr std::int64_t kLong = 60'000'000'000;
  const std::int64_t after = time(row, "replaced_after"), at = time(row, "replaced");
  const std::string end = when_words(row, "replaced", view);
  return after == 0 || at - after < kLong ? end : format_when(after, view.local) + " to " + end;
}

}  // namespace

std::string key_headline(const json::object& keys_answer, const json::object& uses_answer, const View& view) {
  for (const json::object& row : rows_of(keys_answer)) {
    const json::object& key = object(row, "key");
    if (text(key, "id") != view.key) continue;
    std::map<std::string, std::int64_t> counts;
    std::set<std::string> workloads;
    std::int64_t last = 0;
    for (const json::object& use : rows_of(uses_answer)) {
      counts[text(use, "evidence")] += count_of(use);
      workloads.insert(text(object(object(use, "actor"), "workload"), "name"));
      last = std::max(last, time(use, "last"));
    }
    const std::string lifetime = lifetime_words(text(key, "lifetime"));
    std::string out =
        fmt::format("{}, {}, first seen {}", kind_words(text(key, "kind")),
                    lifetime == "unknown" ? "lifetime unknown" : lifetime, when_words(row, "first_seen", view));
    const std::string since =
        is_null(object(uses_answer, "asked"), "since")
            ? ""
            : "since " + format_when_zone(time(object(uses_answer, "asked"), "since"), view.local) + ": ";
    out += fmt::format(" · {}{} uses confirmed, {} inferred, {} possible, by {} workload{}", since,
                       thousands(counts["confirmed"]), thousands(counts["inferred"]), thousands(counts["possible"]),
                       workloads.size(), workloads.size() == 1 ? "" : "s");
    if (last != 0) out += fmt::format(" · last {} ago", format_age(view.now_ns - last));
    if (const std::int64_t held = number(row, "holders"); held != 0)
      out += fmt::format(" · held by {} process{}", thousands(held), held == 1 ? "" : "es");
    if (const std::string next = text(row, "replaced_by"); !next.empty())
      out += fmt::format(" · replaced {} by {}", replaced_when(row, view), printable(next));
    return out + "\n";
  }
  return {};
}

}  // namespace keytrail::cli
