// SPDX-License-Identifier: Apache-2.0
// The rest of render.h: workloads, and why one is named as it is.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/workload_facts.h"
#include "agent/cli/fields.h"
#include "agent/cli/render.h"
#include "agent/cli/render_parts.h"
#include "agent/cli/table.h"
#include "agent/cli/when.h"
#include "agent/cli/words.h"
#include "keytrail/key.h"
#include "keytrail/workload.h"

namespace keytrail::cli {

using base::printable;

namespace {

std::string rate_words(const json::object& row) {
  const json::value* rate = field(row, "uses_per_minute");
  return rate != nullptr && rate->is_double() ? fmt::format("{:.3g}", rate->get_double())
                                              : thousands(number(row, "uses_per_minute"));
}

std::string joined(const json::array& list) {
  std::string out;
  for (const json::value& item : list) {
    if (item.is_string()) out += (out.empty() ? "" : ", ") + std::string(item.get_string());
  }
  return out;
}

/// "2 access_key long-lived, 1 password unknown"
std::string key_counts(const json::object& row) {
  std::string out;
  for (const json::value& value : array(row, "keys")) {
    if (!value.is_object()) continue;
    const json::object& one = value.get_object();
    out += fmt::format("{}{} {} {}", out.empty() ? "" : ", ", thousands(number(one, "count")), text(one, "class"),
                       lifetime_words(text(one, "lifetime")));
  }
  return out;
}

std::string sources(const json::object& row) {
  std::string out;
  for (const json::value& slot : array(row, "sources")) {
    if (slot.is_object()) out += (out.empty() ? "" : "; ") + slot_words(slot.get_object());
  }
  return out;
}

std::string destinations(const json::object& row) {
  std::string out;
  for (const json::value& place : array(row, "destinations")) {
    if (place.is_string()) out += (out.empty() ? "" : ", ") + used_for_words(std::string_view(place.get_string()));
  }
  return out;
}

/// All ids; those that are not listed are counted.
std::string all_ids(const json::object& row) {
  const json::array& ids = array(row, "ids");
  const std::int64_t more = number(row, "ids_total") - static_cast<std::int64_t>(ids.size());
  return joined(ids) + (more > 0 ? fmt::format(" +{}", thousands(more)) : "");
}

std::vector<Fact> facts_in(const json::object& workload) {
  std::vector<Fact> out;
  for (const json::value& value : array(workload, "facts")) {
    if (!value.is_object()) continue;
    const json::object& one = value.get_object();
    out.push_back({text(one, "name"), text(one, "value"),
                   from_word<KnownBy>(text(one, "known_by")).value_or(KnownBy::kClaimed), time(one, "since")});
  }
  return out;
}

/// Those without which the name would be another.
std::set<std::string> in_the_name(WorkloadKind kind, const std::vector<Fact>& facts) {
  const std::string name = base::shown_name(kind, facts).text;
  std::set<std::string> out;
  for (const Fact& one : facts) {
    std::vector<Fact> without = facts;
    std::erase_if(without, [&](const Fact& other) { return other.name == one.name; });
    if (base::shown_name(kind, without).text != name) out.insert(one.name);
  }
  return out;
}

std::string order_words() {
  std::string out;
  for (const Word<KnownBy>& one : kWords<KnownBy>)
    out += (out.empty() ? "" : " > ") + std::string(one.word);
  return out;
}

struct FactsShown {
  std::string table;
  std::size_t contradictions = 0;
};

FactsShown facts_table(const std::vector<Fact>& facts, const std::set<std::string>& naming, const View& view) {
  Table table({{"FACT"}, {"VALUE"}, {"KNOWN BY"}, {time_title("SINCE", view)}, {"COUNTS"}});
  FactsShown out;
  const Fact* counts = nullptr;  // of a name the first
  for (const Fact& one : facts) {
    const bool first = counts == nullptr || counts->name != one.name;
    if (first) counts = &one;
    std::string why = naming.contains(one.name) ? "yes, in the name" : "yes";
    if (!first && one.value == counts->value) {
      why = fmt::format("bears out what {} says", to_string(counts->known_by));
    } else if (!first) {
      ++out.contradictions;
      why = fmt::format("NO, CONTRADICTS: {} counts before {}", to_string(counts->known_by), to_string(one.known_by));
    }
    table.add({one.name, one.value, to_string(one.known_by),
               one.since_ns == 0 ? "-" : format_when(one.since_ns, view.local), std::move(why)});
  }
  out.table = table.text(view.width);
  return out;
}

std::string explained(const json::object& row, const View& view) {
  const json::object& workload = object(row, "workload");
  const auto kind = from_word<WorkloadKind>(text(workload, "kind"));
  const std::vector<Fact> facts = facts_in(workload);
  const std::set<std::string> naming = kind ? in_the_name(*kind, facts) : std::set<std::string>();
  std::string out = fmt::format("{}: {}, name known by {}\n  id: {}\n", printable(text(workload, "name")),
                                printable(text(workload, "kind")), printable(text(workload, "known_by")),
                                printable(text(workload, "id")));
  std::string parts;
  for (const std::string& one : naming)
    parts += (parts.empty() ? "" : ", ") + printable(one);
  out += fmt::format("  named by {}; of one name the first in {} counts, and a name is known as its weakest part\n",
                     parts.empty() ? "nothing that is known" : parts, order_words());
  const FactsShown shown = facts_table(facts, naming, view);
  out += shown.table;
  if (std::ranges::find(facts, std::string_view(fact::kSpiffeId), &Fact::name) != facts.end())
    out += "An SVID is taken for its reader's own where no other workload had it since the worker began.\n";
  if (shown.contradictions != 0)
    out += fmt::format("! {} fact{} contradict{} what counts.\n", shown.contradictions,
                       shown.contradictions == 1 ? "" : "s", shown.contradictions == 1 ? "s" : "");
  if (const std::int64_t others = number(row, "ids_total") - 1; others > 0) {
    out += fmt::format("{} more {} shown so; this one was seen last. Ask by ID for another:\n", thousands(others),
                       others == 1 ? "is" : "are");
    for (const json::value& id : array(row, "ids")) {
      if (id.is_string() && std::string_view(id.get_string()) != text(workload, "id"))
        out += "  " + printable(id.get_string()) + "\n";
    }
  }
  return out;
}

}  // namespace

std::string render_workloads(const json::object& answer, const View& view) {
  const std::vector<json::object> rows = rows_of(answer);
  if (rows.empty())
    return empty_text(fmt::format("No workload with keys {}.\n", looked_at(answer, view)), answer, view);
  std::vector<Column> columns = {{"WORKLOAD"},
                                 {"KNOWN BY"},
                                 {"PROCESSES", Align::kRight},
                                 {"LONG-LIVED", Align::kRight},
                                 {"SHORT-LIVED", Align::kRight},
                                 {"LIFETIME UNKNOWN", Align::kRight},
                                 {"ENCRYPTION", Align::kRight},
                                 {"USES/MIN", Align::kRight},
                                 {"OPEN FINDINGS", Align::kRight}};
  if (view.wide)
    columns.insert(columns.end(), {{time_title("LAST SEEN", view)},
                                   {"KEYS"},
                                   {"FROM"},
                                   {"USED FOR"},
                                   {"KIND"},
                                   {"SERVICE ACCOUNT"},
                                   {"CI JOB (CLAIMED)"},
                                   {"IDS"},
                                   {"CGROUP"}});
  Table table(columns);
  for (const json::object& row : rows) {
    const json::object& workload = object(row, "workload");
    std::vector<std::string> cells = {text(workload, "name"),
                                      text(workload, "known_by"),
                                      thousands(number(row, "processes")),
                                      thousands(number(row, "long_lived")),
                                      thousands(number(row, "short_lived")),
                                      thousands(number(row, "unknown_lifetime")),
                                      thousands(number(row, "encryption")),
                                      rate_words(row),
                                      thousands(number(row, "open_findings"))};
    if (view.wide) {
      for (std::string cell : {when_words(row, "last_seen", view), key_counts(row), sources(row), destinations(row),
                               text(workload, "kind"), fact_of(workload, fact::kServiceAccount),
                               fact_of(workload, fact::kCiJob), all_ids(row), text(workload, "cgroup")})
        cells.push_back(std::move(cell));
    }
    table.add(std::move(cells));
  }
  return with_coverage(table.text(view.width), answer, view);
}

std::string render_workload(const json::object& answer, const View& view) {
  const std::vector<json::object> rows = rows_of(answer);
  if (rows.empty()) return empty_text(fmt::format("No workload {}.\n", looked_at(answer, view)), answer, view);
  std::string out;
  for (const json::object& row : rows)
    out += (out.empty() ? "" : "\n") + explained(row, view);
  return with_coverage(std::move(out), answer, view);
}

}  // namespace keytrail::cli
