// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/row_json.h"

#include <boost/json.hpp>
#include <type_traits>

#include "agent/base/log.h"
#include "agent/serve/times.h"

namespace keytrail::serve {

namespace json = boost::json;
using base::printable;

namespace {

json::value seconds_or_null(std::int64_t unix_s) {
  const auto text = unix_s == 0 ? std::nullopt : format_rfc3339_s(unix_s);
  return text ? json::value(*text) : json::value();
}

json::array texts(const std::vector<std::string>& list) {
  json::array out;
  for (const std::string& text : list)
    out.emplace_back(printable(text));
  return out;
}

json::object workload_json(const Workload& w) {
  return {{"name", printable(w.name)},
          {"kind", to_string(w.kind)},
          {"known_by", to_string(w.known_by)},
          {"container_id", printable(w.container_id)},
          {"pod_uid", printable(w.pod_uid)},
          {"unit", printable(w.unit)},
          {"login_user", printable(w.login_user)},
          {"cgroup", printable(w.cgroup)}};
}

json::object actor_json(const Actor& a) {
  return {{"pid", a.id.tgid},
          {"start_ns", a.id.start_ns},
          {"exec", a.id.exec},
          {"exe", printable(a.exe)},
          {"program", printable(a.program)},
          {"comm", printable(a.comm)},
          {"uid", a.uid},
          {"user", printable(a.workload.user)},
          {"workload", workload_json(a.workload)}};
}

json::object key_json(const Key& k) {
  return {{"id", printable(k.id)},
          {"kind", printable(k.kind)},
          {"class", to_string(k.key_class)},
          {"lifetime", to_string(k.lifetime)},
          {"fingerprint", k.fingerprint.text()},
          {"principal", printable(k.principal)},
          {"parent", printable(k.parent)},
          {"issued", seconds_or_null(k.issued_s)},
          {"expires", seconds_or_null(k.expires_s)}};
}

json::object slot_json(const Slot& s) {
  return {{"from", to_string(s.from)}, {"place", printable(s.place)}, {"selector", printable(s.selector)}};
}

json::object destination_json(const Destination& d) {
  return {{"provider", printable(d.provider)}, {"service", printable(d.service)},         {"region", printable(d.region)},
          {"host", printable(d.host)},         {"address", printable(d.address)},         {"port", d.port},
          {"action", printable(d.action)},     {"name_source", to_string(d.name_source)}, {"ambiguous", d.ambiguous}};
}

void put_use(json::object& out, const UseRow& use) {
  json::array keys;
  for (const Candidate& candidate : use.keys) {
    keys.push_back(
        json::object{{"key", key_json(candidate.key)}, {"slot", slot_json(candidate.slot)}, {"reason", to_string(candidate.reason)}});
  }
  out["actor"] = actor_json(use.actor);
  out["keys"] = std::move(keys);
  out["destination"] = destination_json(use.destination);
  out["outcome"] = to_string(use.outcome);
  out["evidence"] = to_string(use.evidence);
  out["reason"] = to_string(use.reason);
  out["reason_detail"] = printable(use.reason_detail);
  out["via"] = printable(use.via);
  out["first"] = time_or_null(use.first_ns);
  out["last"] = time_or_null(use.last_ns);
  out["connections"] = use.connections;
  out["requests"] = use.requests ? json::value(*use.requests) : json::value();
  out["bytes_sent"] = use.bytes_sent;
  out["bytes_received"] = use.bytes_received;
}

void put(json::object& out, const AcquisitionRow& row) {
  out["actor"] = actor_json(row.actor);
  out["key"] = key_json(row.key);
  out["slot"] = slot_json(row.slot);
  out["unread"] = printable(row.unread);
  out["bulk"] = row.bulk;
  out["baseline"] = row.baseline;
}

void put(json::object& out, const UseRow& row) { put_use(out, row); }

void put(json::object& out, const FindingRow& row) {
  out["finding_type"] = printable(row.type);
  out["severity"] = to_string(row.severity);
  out["text"] = printable(row.text);
  out["attack"] = texts(row.attack);
  out["actor"] = actor_json(row.actor);
  out["key"] = key_json(row.key);
  out["slot"] = slot_json(row.slot);
  out["subject"] = printable(row.subject);
}

void put(json::object& out, const GapRow& row) {
  out["cause"] = printable(row.cause);
  out["family"] = printable(row.family);
  out["from"] = time_or_null(row.from_ns);
  out["to"] = time_or_null(row.to_ns);
  out["lost"] = row.lost ? json::value(*row.lost) : json::value();
  out["text"] = printable(row.text);
}

void put(json::object& out, const RevisionRow& row) {
  out["of_seq"] = row.of_seq;
  out["what"] = printable(row.what);
  out["value"] = printable(row.value);
}

}  // namespace

json::value time_or_null(std::int64_t unix_ns) { return unix_ns == 0 ? json::value() : json::value(format_rfc3339(unix_ns)); }

const char* row_type(const Row& row) {
  static constexpr const char* kTypes[] = {"acquisition", "use", "finding", "gap", "revision"};
  return kTypes[row.body.index()];
}

json::object to_json(const Row& row) {
  json::object out{
      {"seq", row.seq}, {"time", time_or_null(row.time_ns)}, {"observed", time_or_null(row.observed_ns)}, {"type", row_type(row)}};
  std::visit([&](const auto& body) { put(out, body); }, row.body);
  return out;
}

std::string to_json_text(const Row& row) { return json::serialize(to_json(row)); }

json::object to_json(const Edge& edge) {
  json::object out{{"seq", edge.last_seq}, {"type", "edge"}};
  put_use(out, edge.use);
  json::array instances;
  for (const InstanceId& id : edge.instances)
    instances.push_back(json::object{{"pid", id.tgid}, {"start_ns", id.start_ns}, {"exec", id.exec}});
  out["instances"] = std::move(instances);
  out["instances_truncated"] = edge.instances_truncated;
  return out;
}

json::object to_json(const Holding& holding) {
  return {{"type", "holding"},
          {"actor", actor_json(holding.actor)},
          {"key", key_json(holding.key)},
          {"slot", slot_json(holding.slot)},
          {"since", time_or_null(holding.since_ns)},
          {"last_use", time_or_null(holding.last_use_ns)},
          {"how", printable(holding.how)},
          {"slot_changed", holding.slot_changed}};
}

json::object to_json(const KeySummary& summary) {
  json::array slots;
  for (const Slot& slot : summary.slots)
    slots.push_back(slot_json(slot));
  return {{"type", "key"},
          {"key", key_json(summary.key)},
          {"first_seen", time_or_null(summary.first_seen_ns)},
          {"slots", std::move(slots)},
          {"workloads", texts(summary.workloads)},
          {"holders", summary.holders},
          {"last_use", time_or_null(summary.last_use_ns)},
          {"used_for", texts(summary.used_for)},
          {"replaced_by", printable(summary.replaced_by)},
          {"replaced", time_or_null(summary.replaced_ns)}};
}

json::object to_json(const WorkloadSummary& summary) {
  return {{"type", "workload"},
          {"workload", workload_json(summary.workload)},
          {"processes", summary.processes},
          {"long_lived", summary.long_lived},
          {"short_lived", summary.short_lived},
          {"encryption", summary.encryption},
          {"uses_per_minute", summary.uses_per_minute},
          {"open_findings", summary.open_findings}};
}

json::object to_json(const GapRow& gap) {
  json::object out;
  put(out, gap);
  return out;
}

json::object to_json(const HistoryStatus& status) {
  return {{"oldest", time_or_null(status.oldest_ns)},
          {"rows", status.rows},
          {"bytes", status.bytes},
          {"max_bytes", status.max_bytes},
          {"wal_bytes", status.wal_bytes},
          {"queue", status.queue},
          {"queue_dropped", status.queue_dropped},
          {"error", printable(status.error)}};
}

}  // namespace keytrail::serve
