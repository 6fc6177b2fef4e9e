// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/logs.h"

#include <algorithm>
#include <map>

#include "exporters/otlp/attributes.h"

namespace keytrail::otlp {

namespace {

namespace logs = opentelemetry::proto::logs::v1;

struct Level {
  logs::SeverityNumber number;
  const char* text;
};
constexpr Level kInfo{logs::SEVERITY_NUMBER_INFO, "INFO"};
constexpr Level kNotice{logs::SEVERITY_NUMBER_INFO4, "INFO4"};
constexpr Level kWarn{logs::SEVERITY_NUMBER_WARN, "WARN"};
constexpr Level kError{logs::SEVERITY_NUMBER_ERROR, "ERROR"};

struct Kind {
  const char* event;
  Level level;
};

Kind kind_of(const AcquisitionRow&) { return {"keytrail.acquire", kInfo}; }
Kind kind_of(const UseRow&) { return {"keytrail.use", kInfo}; }
Kind kind_of(const GapRow&) { return {"keytrail.gap", kWarn}; }
Kind kind_of(const RevisionRow& row) {
  return {row.what == Revised::kWorkload ? "keytrail.workload" : "keytrail.revision", kInfo};
}
Kind kind_of(const FindingRow& row) {
  switch (row.severity) {
    case Severity::kInfo:
      return {"keytrail.finding", kInfo};
    case Severity::kLow:
      return {"keytrail.finding", kNotice};
    case Severity::kMedium:
      return {"keytrail.finding", kWarn};
    case Severity::kHigh:
      return {"keytrail.finding", kError};
  }
  return {"keytrail.finding", kWarn};
}

std::string who(const Actor& actor) {
  const std::string& name = actor.program.empty() ? actor.comm : actor.program;
  const std::string process = name.empty() ? "process " + std::to_string(actor.id.tgid) : clean(name);
  return actor.workload.name.empty() ? process : process + " (" + clean(actor.workload.name) + ")";
}

std::string where(const Destination& to) {
  std::string out = clean(to.host.empty() ? to.address : to.host);
  if (out.empty()) out = "an unknown host";
  if (to.claimed) out += " (claimed at " + to.address + ")";
  if (!to.action.empty()) out += ", " + clean(to.action);
  return out;
}

std::string say(const AcquisitionRow& row) {
  std::string out = who(row.actor) + (row.baseline ? " holds " : " took ");
  out += row.key.id.empty() ? "a key that was not identified" : clean(row.key.id);
  if (!row.slot.place.empty()) out += std::string(" from ") + to_string(row.slot.from) + " " + clean(row.slot.place);
  if (!row.slot.selector.empty()) out += ", entry " + clean(row.slot.selector);
  if (!row.unread.empty()) out += " (not read: " + clean(row.unread) + ")";
  return out;
}

std::string say(const UseRow& row) {
  std::string keys;
  for (std::size_t i = 0; i < std::min<std::size_t>(row.keys.size(), 3); ++i) {
    keys += keys.empty() ? "" : " or ";
    keys += clean(row.keys[i].key.id);
  }
  if (row.keys.size() > 3) keys += " or " + std::to_string(row.keys.size() - 3) + " more";
  std::string out = who(row.actor) + " " + explain(row.evidence) + " ";
  if (row.evidence == Evidence::kUnattributed) {
    out += where(row.destination) + " with no key known";
  } else {
    out += (keys.empty() ? std::string("a key") : keys) + " at " + where(row.destination);
  }
  if (row.outcome == Outcome::kRefused || row.outcome == Outcome::kFailed)
    out += std::string(", ") + to_string(row.outcome);
  return out + ": " + explain(row.reason);
}

std::string say(const FindingRow& row) { return clean(row.text); }
std::string say(const GapRow& row) { return clean(row.text); }
std::string say(const RevisionRow& row) {
  if (row.what == Revised::kBytes)
    return std::to_string(row.bytes_sent) + " more bytes sent and " + std::to_string(row.bytes_received) +
           " received by the calls of row " + std::to_string(row.of_seq);
  if (row.what == Revised::kWorkload)
    return clean(row.workload.name) + " (" + clean(row.workload.id) + ") is known better: " + clean(row.value);
  return std::string(to_string(row.what)) + " of row " + std::to_string(row.of_seq) + " is now " + clean(row.value);
}

}  // namespace

std::string sentence(const Row& row) {
  return std::visit([](const auto& body) { return say(body); }, row.body);
}

LogRequest build_log_request(std::span<const Row> rows, std::span<const Place> places, const Sender& sender) {
  LogRequest request;
  std::map<std::string, logs::ScopeLogs*> by_resource;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    const Kind kind = std::visit([](const auto& body) { return kind_of(body); }, row.body);
    logs::ScopeLogs*& scope = by_resource[resource_key(row, places[i].other)];
    if (scope == nullptr) {
      logs::ResourceLogs* group = request.add_resource_logs();
      fill_resource(*group->mutable_resource(), row, sender, places[i].other);
      scope = group->add_scope_logs();
      fill_scope(*scope->mutable_scope());
    }
    logs::LogRecord& record = *scope->add_log_records();
    record.set_event_name(kind.event);
    record.set_time_unix_nano(row.time_ns > 0 ? static_cast<std::uint64_t>(row.time_ns) : 0);
    record.set_observed_time_unix_nano(row.observed_ns > 0 ? static_cast<std::uint64_t>(row.observed_ns)
                                                           : record.time_unix_nano());
    record.set_severity_number(kind.level.number);
    record.set_severity_text(kind.level.text);
    record.mutable_body()->set_string_value(sentence(row));
    const bool own = !places[i].self.span_id.empty();
    if (own || !places[i].links.empty()) {
      const SpanRef& ref = own ? places[i].self : places[i].links.front().to;
      record.set_trace_id(ref.trace_id);
      record.set_span_id(ref.span_id);
    }
    Attributes put(record.mutable_attributes());
    put_row(put, row);
  }
  return request;
}

}  // namespace keytrail::otlp
