// SPDX-License-Identifier: Apache-2.0
// The rest of render.h: one row explained, the live trail, the agent's own state.
#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "agent/base/log.h"
#include "agent/cli/fields.h"
#include "agent/cli/render.h"
#include "agent/cli/table.h"
#include "agent/cli/when.h"
#include "agent/cli/words.h"
#include "keytrail/event.h"
#include "keytrail/hooks.h"

namespace keytrail::cli {

using base::printable;

namespace {

std::string acquired_words(const json::object& row) {
  const std::string from = text(object(row, "slot"), "from");
  std::string verb = flag(row, "baseline") ? "had" : from == "file" ? "read" : "got";
  if (flag(row, "bulk"))
    verb += " (bulk)";
  else if (is_usual(row))
    verb += " (usual)";
  return verb;
}

std::string acquired_key(const json::object& row) {
  const std::string id = text(object(row, "key"), "id");
  const std::string unread = text(row, "unread");
  return printable(id.empty() ? (unread.empty() ? "?" : "? (" + unread + ")") : id);
}

/// Text and blanks up to a width; a longer text keeps its whole length.
std::string padded(std::string text, std::size_t width) {
  const std::size_t have = display_width(text);
  if (have < width) text.append(width - have, ' ');
  return text;
}

std::string line(const json::object& row, std::string_view verb, const std::string& rest, const View& view) {
  const json::object& actor = object(row, "actor");
  const std::string workload = text(object(actor, "workload"), "name");
  return fmt::format("{}  {}  {}  {}  {}", when_words(row, "time", view),
                     padded(workload.empty() ? "-" : printable(workload), 24), padded(process_words(row), 18),
                     padded(std::string(verb), 15), rest);
}

std::string number_or_zero(const json::object& from, Name name) { return thousands(number(from, name)); }

/// One export destination: its books, and how its requests go (`live`, empty when it is not configured any more).
std::string export_words(const json::object& books, const json::object& live, const View& view) {
  const std::string state = text(live, "state");
  std::string out = fmt::format(
      "export {} {}: {} · lag {} s · rows {} = acknowledged {} + rejected {} + expired {} + waiting {} · difference "
      "{}\n",
      printable(text(books, "name")), printable(text(live, "endpoint")),
      state.empty() ? "not configured" : printable(state), thousands((number(live, "lag_ms") + 999) / 1000),
      number_or_zero(books, "rows"), number_or_zero(books, "acknowledged"), number_or_zero(books, "rejected"),
      number_or_zero(books, "expired"), number_or_zero(books, "waiting"), number_or_zero(books, "difference"));
  const std::string error = text(live, "last_error");
  if (!error.empty()) {
    const std::int64_t accepted = time(live, "last_ok");
    out += fmt::format("  last error {} ago: {} · {} sent again · last accepted {}\n",
                       format_age(view.now_ns - time(live, "last_error_at")), printable(error),
                       number_or_zero(live, "retries"),
                       accepted == 0 ? "never since start" : format_age(view.now_ns - accepted) + " ago");
  }
  return out;
}

/// Which instance of a cloud it is; nothing where that is not known.
std::string machine_line(const json::object& machine) {
  if (machine.empty()) return {};
  std::string out = "machine:";
  for (const auto& [name, value] : machine) {
    if (value.is_string())
      out += fmt::format("{}{} {}", out.ends_with(':') ? " " : " · ", printable(name), printable(value.get_string()));
  }
  return out + "\n";
}

/// What the worker turned away or forgot since it started, in the order of what it costs an answer.
constexpr std::pair<std::string_view, std::string_view> kLimits[] = {
    {"processes_over_bound", "processes not followed: their uses are at most possible"},
    {"holdings_over_bound", "keys not kept of a process or of a program: its uses are at most possible"},
    {"connections_forgotten", "connections forgotten: their later calls are not seen"},
    {"payloads_without_connection", "calls on connections older than the agent or forgotten"},
    {"examine_overflow", "opens of key files not looked at, too many of one process, program or cgroup at once"},
    {"files_unread", "key files opened and not read or not understood: their keys are unknown"},
    {"contents_over_budget", "files at no known place not looked at, too many of one process at once"},
    {"secret_shaped_over_budget", "processes that opened more secret-shaped files than are looked at"},
    {"processes_unread", "processes whose start was lost and of which nothing was read, too many of one cgroup"},
    {"processes_not_kept", "events of processes that are not kept, too many of one cgroup and user"},
    {"cgroups_not_kept", "cgroups whose name is not kept: what runs there is shown as the host's"},
    {"cgroups_forgotten", "names of empty cgroups forgotten: what is put there again is shown as the host's at first"},
    {"workloads_over_bound", "workloads that learn nothing later, too many of one user, pod or directory"},
    {"identity_posts_dropped", "facts of workloads not taken, too many at once of one pod"},
    {"facts_like_keys", "facts of workloads left out: they look like a key that somebody wrote into a label"},
    {"facts_over_bound", "facts of workloads left out: too long, or too many of one workload"},
    {"runtime_containers_gone", "containers without names: gone before the runtime's state was read"},
    {"runtime_containers_unreadable", "containers without names: the runtime's state could not be read"},
    {"runtime_cgroup_disagrees", "containers without names: the runtime has them in another cgroup"},
    {"runtime_containers_of_users", "containers of users' own runtimes, which are not asked about"},
    {"runtime_looks_over_bound", "containers without names: too many were looked up at once"},
    {"tokens_of_another_pod", "tokens that name another pod than their reader's: believed of nobody"},
    {"tokens_unbound", "tokens of which it is not known whose they are: believed of nobody"},
    {"kubernetes_pods_over_bound", "pods without names: too many on this node"},
    {"kubernetes_pods_contradicted", "pods that claim to be a static pod that another one is"},
    {"kubernetes_containers_over_bound", "containers of pods without names: too many in one pod"},
    {"kubernetes_events_too_large", "pods without names: the API server's event was too large"},
    {"kubernetes_malformed", "answers about pods that were not understood"},
    {"kubernetes_texts_cut", "facts of pods that were cut: too long"},
    {"held_uses_over_bound", "uses weighed before their key file was read"},
    {"environments_over_bound", "environments not read, too many at once"},
    {"environments_cut", "environments with more than is read: their programs' uses are at most possible"},
    {"environments_unread", "environments not readable, mostly of ended processes"},
    {"arguments_cut", "arguments longer than is kept: their programs' uses are at most possible"},
    {"arguments_unread", "arguments not read, too many at once: the same"},
    {"places_over_bound", "calls to unknown destinations that were too many to tell apart"},
    {"entries_unparsed", "entries of key files not understood: their keys are unknown"},
    {"entries_over_bound", "entries of key files not read, too many in one file: their keys are unknown"},
    {"found_over_bound", "places where a key was found that are not watched any more under a free name"},
    {"told_places_over_budget", "files named by key files that were not looked at: their keys are unknown"},
    {"files_forgotten", "known key files forgotten: their next rotation is not noticed"},
    {"datagrams_forgotten", "UDP peers forgotten"},
};

std::string tracking_words(const json::object& tracking) {
  if (tracking.empty()) return "";  // an older agent
  const auto tracked = [&](std::string_view name) { return thousands(counter(tracking, name)); };
  std::string out = fmt::format(
      "following: {} processes · {} workloads · {} connections · {} examinations running · {} uses held back\n",
      tracked("processes"), tracked("workloads"), tracked("connections"), tracked("examinations"),
      tracked("held_uses"));
  std::string limits;
  for (const auto& [name, words] : kLimits) {
    if (counter(tracking, name) != 0) limits += fmt::format("  {} {}\n", tracked(name), words);
  }
  return out + (limits.empty() ? "" : "limits met since the worker started:\n" + limits);
}

/// "armed", "PARTLY ARMED" or "NOT ARMED", and what hides behind the second: a line for each cause, with the fix.
std::string armed_words(const json::object& status, const View& view) {
  const std::int64_t armed = time(status, "armed_since");
  if (armed == 0) return "NOT ARMED";
  return fmt::format("{} {} (since {}, in {} ms)", text(status, "state") == "partly_armed" ? "PARTLY ARMED" : "armed",
                     format_age(view.now_ns - armed), format_when_zone(armed, view.local),
                     number(status, "armed_in_ms"));
}

std::string blind_lines(const json::object& status) {
  std::string out;
  for (const json::value& value : array(status, "families")) {
    if (!value.is_object()) continue;
    const json::object& one = value.get_object();
    const auto family = from_word<Family>(text(one, "family"));
    const bool runs = flag(one, "armed") && !flag(one, "silent");
    if (runs || !family || entry_of(*family).optional) continue;
    const std::string missing = text(one, "missing");
    out += fmt::format("! {}: {}; {}\n", entry_of(*family).title,
                       flag(one, "silent") ? "SILENT, its heartbeat does not come through" : "not armed",
                       missing.empty() ? "keytrail doctor says why, and the fix" : printable(missing));
  }
  return out;
}

/// Rows that are seen and not stored: no answer has them yet. A moment in the queue is usual.
std::string unsaved_line(const json::object& history, const View& view) {
  constexpr std::int64_t kUsual = 5'000'000'000;
  const std::int64_t waiting = number(history, "queue"), since = time(history, "unsaved_since");
  const std::string error = text(history, "error");
  if (waiting == 0 || (error.empty() && view.now_ns - since < kUsual)) return {};
  return fmt::format("! {} row{} wait{} unsaved{}{}: no answer has {} yet\n", thousands(waiting),
                     waiting == 1 ? "" : "s", waiting == 1 ? "s" : "",
                     since == 0 ? "" : " since " + format_when_zone(since, view.local),
                     error.empty() ? "" : " (" + printable(error) + ")", waiting == 1 ? "it" : "them");
}

}  // namespace

std::string watch_line(const json::object& row, const View& view) {
  const std::string type = text(row, "type");
  if (type == "acquisition") {
    const std::string session = printable(text(object(row, "actor"), "session"));
    return line(row, acquired_words(row),
                fmt::format("{}  from {}{}", acquired_key(row), slot_words(object(row, "slot")),
                            session.empty() ? "" : "  (" + session + ")"),
                view);
  }
  if (type == "use") {
    const std::int64_t count = count_of(row);
    return line(row, verb_words(text(row, "evidence")),
                fmt::format("{}  → {}{}  ({})", key_words(row), called_words(object(row, "destination")),
                            count > 1 ? " ×" + thousands(count) : "", why_words(row)),
                view);
  }
  if (type == "finding") {
    const std::string id = text(object(row, "key"), "id");
    return line(row, "! " + printable(text(row, "severity")),
                fmt::format("{}{}: {}", printable(text(row, "finding_type")), id.empty() ? "" : " " + printable(id),
                            printable(text(row, "text"))),
                view);
  }
  const std::string at = when_words(row, "time", view);
  if (type == "gap") {
    const std::string lost = is_null(row, "lost") ? "an unknown number" : number_or_zero(row, "lost");
    return fmt::format("{}  ! GAP {}: {} lost. {}", at, printable(text(row, "cause")), lost,
                       printable(text(row, "text")));
  }
  if (text(row, "what") == to_string(Revised::kBytes))
    return fmt::format("{}  row {} revised: {} more bytes sent, {} received", at, number(row, "of_seq"),
                       number_or_zero(row, "bytes_sent"), number_or_zero(row, "bytes_received"));
  if (text(row, "what") == to_string(Revised::kWorkload))
    return fmt::format("{}  {} is known better: {}", at, printable(text(object(row, "workload"), "name")),
                       printable(text(row, "value")));
  return fmt::format("{}  row {} revised: {} is {}", at, number(row, "of_seq"), printable(text(row, "what")),
                     printable(text(row, "value")));
}

namespace {

std::string program_line(const json::object& row) {
  const json::object& actor = object(row, "actor");
  const std::string exe = text(actor, "exe"), file = file_words(actor);
  if (exe.empty() && file.empty()) return {};
  return fmt::format("  program: {}{}{}\n", printable(exe.empty() ? "?" : exe), file.empty() ? "" : ", ", file);
}

/// Who enters a running container has no login on this machine: only who let it in knows the person.
std::string person_line(const json::object& row, const View& view) {
  const json::object& actor = object(row, "actor");
  if (!text(actor, "session").starts_with("exec") || !text(actor, "login_user").empty()) return {};
  return fmt::format(
      "  person: not visible on this node: somebody entered a container that ran already (kubectl exec, docker exec); "
      "the API server's audit log of {} has the name\n",
      when_words(row, "time", view));
}

}  // namespace

std::string render_explain(const json::object& answer, const View& view) {
  const json::array& rows = array(answer, "rows");
  if (rows.empty() || !rows[0].is_object()) return "There is no such row.\n";
  const json::object& row = rows[0].get_object();
  std::string out;
  if (text(row, "type") == "use") {
    const std::string evidence = text(row, "evidence");
    const std::string count = thousands(count_of(row));
    out += fmt::format("{}: {} called {} {}×; {}\n", printable(evidence), process_words(row),
                       called_words(object(row, "destination")), count, why_words(row));
    out += program_line(row) + person_line(row, view);
    if (const std::string sentence = text(row, "explanation"); !sentence.empty())
      out += fmt::format("  reason: {} ({})\n", printable(sentence), printable(text(row, "reason")));
    for (const json::value& value : array(row, "keys")) {
      if (!value.is_object()) continue;
      const json::object& candidate = value.get_object();
      const json::object& key = object(candidate, "key");
      out += fmt::format("  key {}: {}, {}, from {}: {}\n", printable(text(key, "id")), kind_words(text(key, "kind")),
                         lifetime_words(text(key, "lifetime")), slot_words(object(candidate, "slot")),
                         why_words(json::object{{"reason", text(candidate, "reason")}}));
    }
    const json::object& destination = object(row, "destination");
    out += fmt::format("  host: {} {}, name by {}{}\n",
                       printable(text(destination, "host").empty() ? "?" : text(destination, "host")),
                       printable(text(destination, "address")), printable(text(destination, "name_source")),
                       flag(destination, "claimed")     ? " (claimed: nothing bears it out)"
                       : flag(destination, "ambiguous") ? ", address shared"
                                                        : "");
    if (const std::string hint = text(row, "note"); !hint.empty())
      out += fmt::format("  address: {} (a hint, no proof)\n", printable(hint));
  } else {
    out += watch_line(row, view) + "\n" + program_line(row) + person_line(row, view);
  }
  for (std::size_t i = 1; i < rows.size(); ++i) {
    if (rows[i].is_object()) out += "  " + watch_line(rows[i].get_object(), view) + "\n";
  }
  return view.show_coverage ? out + coverage_text(answer, view) : out;
}

std::string render_status(const json::object& answer, const View& view) {
  const json::array& rows = array(answer, "rows");
  if (rows.empty() || !rows[0].is_object()) return "The agent gave no status.\n";
  const json::object& status = rows[0].get_object();
  const json::object& accounting = object(status, "accounting");
  const json::object& kernel = object(accounting, "kernel");
  const json::object& worker = object(accounting, "worker");
  const json::object& history = object(status, "history");
  std::int64_t dropped = 0;
  for (const auto& [reason, count] : object(worker, "dropped"))
    dropped += count.is_uint64()  ? static_cast<std::int64_t>(count.get_uint64())
               : count.is_int64() ? count.get_int64()
                                  : 0;

  std::string out = armed_words(status, view);
  out += fmt::format(" · keytrail {} · kernel {} · node {}\n", printable(text(status, "version")),
                     printable(text(status, "kernel")), printable(text(status, "host")));
  out += machine_line(object(status, "machine"));
  out += blind_lines(status);
  out += fmt::format("kernel: hits {} = filtered {} + sent {} + lost {} · difference {}\n",
                     number_or_zero(kernel, "hits"), number_or_zero(kernel, "filtered"), number_or_zero(kernel, "sent"),
                     number_or_zero(kernel, "lost"), number_or_zero(kernel, "difference"));
  out += fmt::format("worker: sent {} = recorded {} + absorbed {} + dropped {} + in flight {} · difference {}\n",
                     number_or_zero(worker, "sent"), number_or_zero(worker, "recorded"),
                     number_or_zero(worker, "absorbed"), thousands(dropped), number_or_zero(worker, "in_flight"),
                     number_or_zero(worker, "difference"));
  for (const json::value& value : array(accounting, "exporters")) {
    if (!value.is_object()) continue;
    const json::object& e = value.get_object();
    json::object live;
    for (const json::value& other : array(status, "exporters")) {
      if (other.is_object() && text(other.get_object(), "name") == text(e, "name")) live = other.get_object();
    }
    out += export_words(e, live, view);
  }
  const std::int64_t oldest = time(history, "oldest");
  out +=
      fmt::format("history: {} → now, {} rows, {} of {} MB, log {} MB, {} unsaved, {} dropped{}\n",
                  oldest == 0 ? "empty" : format_when(oldest, view.local), number_or_zero(history, "rows"),
                  thousands(number(history, "bytes") / 1'000'000), thousands(number(history, "max_bytes") / 1'000'000),
                  thousands(number(history, "wal_bytes") / 1'000'000), number_or_zero(history, "queue"),
                  number_or_zero(history, "queue_dropped"),
                  text(history, "error").empty() ? "" : " · " + printable(text(history, "error")));
  out += unsaved_line(history, view);
  std::string roles;
  for (const json::value& value : array(status, "roles")) {
    if (!value.is_object()) continue;
    const json::object& role = value.get_object();
    roles += fmt::format("{}{}[{}] {} restart{}{}", roles.empty() ? "" : " · ", printable(text(role, "name")),
                         number(role, "pid"), number(role, "restarts"), number(role, "restarts") == 1 ? "" : "s",
                         text(role, "note").empty() ? "" : " (" + printable(text(role, "note")) + ")");
  }
  if (!roles.empty()) out += "roles: " + roles + "\n";
  out += tracking_words(object(status, "tracking"));
  for (const json::value& remark : array(status, "remarks")) {
    if (remark.is_string()) out += "! " + printable(remark.get_string()) + "\n";
  }
  if (view.wide) {
    Table table({{"FAMILY"},
                 {"HOW"},
                 {"HITS", Align::kRight},
                 {"FILTERED", Align::kRight},
                 {"SENT", Align::kRight},
                 {"DIFFERENCE", Align::kRight},
                 {"MISSING"}});
    for (const json::value& value : array(status, "families")) {
      if (!value.is_object()) continue;
      const json::object& f = value.get_object();
      table.add({text(f, "family"), flag(f, "armed") ? text(f, "chosen") : "not armed", number_or_zero(f, "hits"),
                 number_or_zero(f, "filtered"), number_or_zero(f, "sent"), number_or_zero(f, "difference"),
                 flag(f, "silent") ? "SILENT: no heartbeat; " + text(f, "missing") : text(f, "missing")});
    }
    out += table.text(view.width);
  }
  return view.show_coverage ? out + coverage_text(answer, view) : out;
}

std::string render_doctor(const json::object& answer, const View& view) {
  Table table({{"YOU CAN SEE"}, {"STATE"}, {"HOW"}, {"COSTS THE OTHERS"}, {"WHAT IS MISSING, AND THE FIX"}});
  std::string refused;
  for (const json::value& value : array(answer, "rows")) {
    if (!value.is_object()) continue;
    const json::object& row = value.get_object();
    table.add({text(row, "what"), text(row, "state"), text(row, "how"), text(row, "cost"), text(row, "missing")});
    for (const json::value& other : array(row, "refused")) {
      if (other.is_object())
        refused += fmt::format("  {}: not {}: {}\n", printable(text(row, "family")),
                               printable(text(other.get_object(), "name")), printable(text(other.get_object(), "why")));
    }
  }
  std::string out = table.text(view.width);
  if (!refused.empty()) out += "Better ways that are not used:\n" + refused;
  out +=
      "Not seen on any kernel: keys in kernel keyrings, core dumps, reads below the file system, raw, ICMP, SCTP and "
      "vsock traffic (README.md, \"What it does not see\").\n";
  return view.show_coverage ? out + coverage_text(answer, view) : out;
}

}  // namespace keytrail::cli
