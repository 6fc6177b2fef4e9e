// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/status_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <numeric>

#include "agent/base/log.h"
#include "agent/serve/row_json.h"

namespace keytrail::serve {

namespace json = boost::json;
using base::printable;

namespace {

std::uint64_t sum(const std::map<std::string, std::uint64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0},
                         [](std::uint64_t total, const auto& entry) { return total + entry.second; });
}

json::object counts_json(const std::map<std::string, std::uint64_t>& counts) {
  json::object out;
  for (const auto& [name, count] : counts)
    out[printable(name)] = count;
  return out;
}

/// Left minus right; 0 when the books are right. For display only: every term comes from its own counter.
std::int64_t difference(std::uint64_t left, std::uint64_t right) { return static_cast<std::int64_t>(left - right); }

json::array refused_json(const HookReport& hook) {
  json::array out;
  for (const HookReport::Refused& refused : hook.refused)
    out.push_back(json::object{{"name", printable(refused.name)}, {"why", printable(refused.why)}});
  return out;
}

json::object family_json(const FamilyStatus& family) {
  const HookReport& hook = family.hook;
  const KernelCounters& c = family.counters;
  return {{"family", to_string(hook.family)}, {"armed", hook.armed()},
          {"silent", family.silent},          {"chosen", printable(hook.chosen)},
          {"cost", printable(hook.cost)},     {"missing", printable(hook.missing)},
          {"refused", refused_json(hook)},    {"hits", c.hits},
          {"filtered", c.filtered},           {"sent", c.sent},
          {"lost", counts_json(c.lost)},      {"difference", difference(c.hits, c.filtered + c.sent + sum(c.lost))}};
}

json::object accounting_json(const AgentStatus& agent, const HistoryStatus& history) {
  KernelCounters total;
  std::uint64_t lost = 0;
  for (const FamilyStatus& family : agent.families) {
    total.hits += family.counters.hits;
    total.filtered += family.counters.filtered;
    total.sent += family.counters.sent;
    lost += sum(family.counters.lost);
  }
  const WorkerCounters& w = agent.worker;
  const std::uint64_t dropped = sum(w.dropped);
  json::array exporters;
  for (const auto& [name, c] : history.exporters) {
    exporters.push_back(
        json::object{{"name", printable(name)},
                     {"rows", c.rows},
                     {"acknowledged", c.acknowledged},
                     {"rejected", c.rejected},
                     {"expired", c.expired},
                     {"waiting", c.waiting},
                     {"difference", difference(c.rows, c.acknowledged + c.rejected + c.expired + c.waiting)}});
  }
  return {{"kernel",
           {{"hits", total.hits},
            {"filtered", total.filtered},
            {"sent", total.sent},
            {"lost", lost},
            {"difference", difference(total.hits, total.filtered + total.sent + lost)}}},
          {"worker",
           {{"sent", total.sent},
            {"received", w.received},
            {"recorded", w.recorded},
            {"absorbed", w.absorbed},
            {"dropped", counts_json(w.dropped)},
            {"in_flight", agent.in_flight},
            {"difference", difference(total.sent, w.recorded + w.absorbed + dropped + agent.in_flight)}}},
          {"exporters", std::move(exporters)}};
}

json::object doctor_row(std::string_view what, std::string_view state, std::string_view how, std::string_view missing) {
  return {{"what", printable(what)}, {"state", state}, {"how", printable(how)}, {"missing", printable(missing)}};
}

/// Whoever ran before the agent, or lived through a gap: what it took then is not known.
json::object unseen_row(const UnseenLives& lives) {
  const std::uint64_t callers = lives.callers.size() + lives.callers_not_listed;
  std::uint64_t all = callers + lives.quiet_not_listed + lives.not_followed;
  for (const UnseenProgram& one : lives.quiet)
    all += one.processes;
  json::object row = doctor_row(
      "Processes not seen whole", all == 0 ? "full" : "partial", "sweep at start",
      all == 0
          ? ""
          : fmt::format("{} process{}, {} of which connected to somebody: what they took before the agent began, or "
                        "in a gap, is not known; clears as they are started again (key ID --holders names them)",
                        all, all == 1 ? "" : "es", callers));
  row["optional"] = true;
  return row;
}

json::object family_row(const FamilyStatus& family) {
  const HookReport& hook = family.hook;
  const FamilyEntry& entry = entry_of(hook.family);
  std::string missing = hook.missing;
  if (family.silent)
    missing = "its heartbeat does not come through: nothing may be seen; see the log" +
              (missing.empty() ? "" : "; " + missing);
  if (!hook.armed() && missing.empty())
    missing = entry.optional ? "evidence stays \"inferred\"" : "nothing of it is seen";
  const char* state = !hook.armed() || family.silent ? "none" : missing.empty() ? "full" : "partial";
  json::object out = doctor_row(entry.title, state, hook.chosen, missing);
  out["family"] = entry.word;
  out["optional"] = entry.optional;
  out["cost"] = printable(hook.cost);
  out["refused"] = refused_json(hook);
  return out;
}

/// Armed as a whole, or only in part: a family that no answer can do without does not run, or a role says that it lacks
/// something (its remark begins so).
const char* state_of(const AgentStatus& agent) {
  if (agent.armed_since_ns == 0) return "not_armed";
  const bool blind = std::ranges::any_of(agent.families, [](const FamilyStatus& family) {
    return (!family.hook.armed() || family.silent) && !entry_of(family.hook.family).optional;
  });
  const bool told =
      std::ranges::any_of(agent.remarks, [](const std::string& remark) { return remark.starts_with(kPartlyArmed); });
  return blind || told ? "partly_armed" : "armed";
}

}  // namespace

json::object status_json(const AgentStatus& agent, const HistoryStatus& history) {
  json::array families, exporters, roles, remarks;
  json::object machine;
  for (const Fact& fact : agent.machine)
    machine[printable(fact.name)] = printable(fact.value);
  for (const FamilyStatus& family : agent.families)
    families.push_back(family_json(family));
  for (const ExporterStatus& e : agent.exporters) {
    exporters.push_back(json::object{{"name", printable(e.name)},
                                     {"endpoint", printable(e.endpoint)},
                                     {"state", printable(e.state)},
                                     {"lag_ms", e.lag_ns / 1'000'000},
                                     {"last_ok", time_or_null(e.last_ok_ns)},
                                     {"retries", e.retries},
                                     {"last_error", printable(e.last_error)},
                                     {"last_error_at", time_or_null(e.last_error_ns)}});
  }
  for (const RoleStatus& r : agent.roles) {
    roles.push_back(json::object{
        {"name", printable(r.name)}, {"pid", r.pid}, {"restarts", r.restarts}, {"note", printable(r.ended)}});
  }
  for (const std::string& remark : agent.remarks)
    remarks.emplace_back(printable(remark));
  return {{"type", "status"},
          {"version", printable(agent.version)},
          {"host", printable(agent.host)},
          {"kernel", printable(agent.kernel)},
          {"machine", std::move(machine)},
          {"state", state_of(agent)},
          {"armed_since", time_or_null(agent.armed_since_ns)},
          {"armed_in_ms", agent.armed_in_ms},
          {"families", std::move(families)},
          {"accounting", accounting_json(agent, history)},
          {"tracking", counts_json(agent.tracking)},
          {"history", to_json(history)},
          {"exporters", std::move(exporters)},
          {"roles", std::move(roles)},
          {"remarks", std::move(remarks)}};
}

json::array doctor_json(const AgentStatus& agent, const UnseenLives* unseen, const HistoryStatus& history) {
  json::array out;
  for (const FamilyStatus& family : agent.families)
    out.push_back(family_row(family));
  if (unseen != nullptr) out.push_back(unseen_row(*unseen));
  out.push_back(doctor_row("History", history.error.empty() ? "full" : "none",
                           fmt::format("{} of {} MB", history.bytes / 1'000'000, history.max_bytes / 1'000'000),
                           history.error));
  if (agent.exporters.empty()) {
    json::object row =
        doctor_row("Export", "none", "-", "no collector is configured: set otlp in /etc/keytrail/keytrail.yaml");
    row["optional"] = true;
    out.push_back(std::move(row));
  }
  for (const ExporterStatus& e : agent.exporters) {
    const bool ok = e.state == "ok" || e.state == "idle";
    json::object row = doctor_row("Export to " + e.name, ok ? "full" : "partial", e.endpoint, ok ? "" : e.state);
    row["optional"] = true;
    out.push_back(std::move(row));
  }
  for (const std::string& remark : agent.remarks) {
    const bool partly = remark.starts_with(kPartlyArmed);
    json::object row = doctor_row(partly ? "The whole node" : "Remark", partly ? "none" : "partial", "-", remark);
    row["optional"] = !partly;
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace keytrail::serve
