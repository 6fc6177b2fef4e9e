// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/attributes.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include "agent/base/log.h"

namespace keytrail::otlp {

namespace {

void put_actor(Attributes& out, const Actor& actor) {
  out.number("process.pid", actor.id.tgid);
  out.text("process.executable.path", actor.exe);
  out.text("process.executable.name", actor.exe.substr(actor.exe.rfind('/') + 1));
  out.text("user.id", std::to_string(actor.uid));
  out.text("user.name", actor.user);
  out.text("keytrail.login_user", actor.login_user);
  out.text("keytrail.program", actor.program);
  out.text("keytrail.process.instance",
           std::to_string(actor.id.tgid) + "." + std::to_string(actor.id.start_ns) + "." + std::to_string(actor.id.exec));
}

void put_key(Attributes& out, const Key& key) {
  if (key.id.empty() && key.kind.empty()) return;
  out.text("keytrail.key.id", key.id);
  out.text("keytrail.key.kind", key.kind);
  out.text("keytrail.key.class", to_string(key.key_class));
  out.text("keytrail.key.lifetime", to_string(key.lifetime));
  out.text("keytrail.key.principal", key.principal);
  out.text("keytrail.key.parent", key.parent);
}

void put_slot(Attributes& out, const Slot& slot) {
  out.text("keytrail.key.from", to_string(slot.from));
  out.text(slot.from == From::kFile ? "file.path" : "keytrail.key.place", slot.place);
  out.text("keytrail.key.selector", slot.selector);
}

void put_destination(Attributes& out, const Destination& to) {
  out.text("server.address", to.host.empty() ? to.address : to.host);
  if (to.port != 0) out.number("server.port", to.port);
  out.text("network.peer.address", to.address);
  out.text("keytrail.destination.provider", to.provider);
  out.text("keytrail.destination.service", to.service);
  out.text("keytrail.destination.region", to.region);
  out.text("keytrail.destination.action", to.action);
  out.text("keytrail.destination.name_source", to_string(to.name_source));
  if (to.ambiguous) out.flag("keytrail.destination.ambiguous", true);
}

void put(Attributes& out, const AcquisitionRow& row) {
  put_actor(out, row.actor);
  put_key(out, row.key);
  put_slot(out, row.slot);
  out.text("keytrail.unread", row.unread);
  if (row.bulk) out.flag("keytrail.bulk", true);
  if (row.baseline) out.flag("keytrail.baseline", true);
}

void put(Attributes& out, const UseRow& row) {
  put_actor(out, row.actor);
  if (row.keys.size() == 1) {
    put_key(out, row.keys.front().key);
    put_slot(out, row.keys.front().slot);
  } else if (!row.keys.empty()) {
    // No keytrail.key.id here: a query by key would take a guess for a fact.
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < std::min(row.keys.size(), kCandidatesMax); ++i)
      ids.push_back(row.keys[i].key.id);
    out.texts("keytrail.key.candidates", ids);
  }
  put_destination(out, row.destination);
  out.text("keytrail.evidence", to_string(row.evidence));
  out.text("keytrail.evidence.reason", to_string(row.reason));
  out.text("keytrail.evidence.detail", row.reason_detail);
  out.text("keytrail.via", row.via);
  out.text("keytrail.outcome", to_string(row.outcome));
  out.number("keytrail.count", row.requests.value_or(row.connections));
  out.text("keytrail.count.unit", row.requests ? "requests" : "connections");
  out.number("keytrail.bytes.sent", row.bytes_sent);
  out.number("keytrail.bytes.received", row.bytes_received);
  if (row.outcome == Outcome::kRefused || row.outcome == Outcome::kFailed) out.text("error.type", to_string(row.outcome));
}

void put(Attributes& out, const FindingRow& row) {
  put_actor(out, row.actor);
  put_key(out, row.key);
  put_slot(out, row.slot);
  out.text("keytrail.finding.type", row.type);
  out.text("keytrail.finding.severity", to_string(row.severity));
  out.text("keytrail.finding.subject", row.subject);
  out.texts("keytrail.attack", row.attack);
}

void put(Attributes& out, const GapRow& row) {
  out.text("keytrail.gap.cause", row.cause);
  out.text("keytrail.gap.family", row.family);
  out.number("keytrail.gap.from_unix_nano", static_cast<std::uint64_t>(std::max<std::int64_t>(row.from_ns, 0)));
  out.number("keytrail.gap.to_unix_nano", static_cast<std::uint64_t>(std::max<std::int64_t>(row.to_ns, 0)));
  if (row.lost) out.number("keytrail.gap.lost", *row.lost);
}

void put(Attributes&, const RevisionRow&) {}

}  // namespace

std::string clean(std::string_view text) {
  if (text.size() > kTextMax) {
    std::size_t end = kTextMax;
    while (end > kTextMax - 4 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
      --end;
    text = text.substr(0, end);
  }
  return base::printable(text);
}

common::AnyValue* Attributes::add(const char* name) {
  common::KeyValue* item = out_->Add();
  item->set_key(name);
  return item->mutable_value();
}

void Attributes::text(const char* name, std::string_view value) {
  if (!value.empty()) add(name)->set_string_value(clean(value));
}

void Attributes::texts(const char* name, const std::vector<std::string>& values) {
  if (values.empty()) return;
  common::ArrayValue* list = add(name)->mutable_array_value();
  for (const std::string& value : values)
    list->add_values()->set_string_value(clean(value));
}

void Attributes::number(const char* name, std::uint64_t value) {
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  add(name)->set_int_value(value > static_cast<std::uint64_t>(kMax) ? kMax : static_cast<std::int64_t>(value));
}

void Attributes::flag(const char* name, bool value) { add(name)->set_bool_value(value); }

void put_row(Attributes& out, const Row& row) {
  out.text("keytrail.schema", kSchemaVersion);
  out.number("keytrail.row.seq", row.seq);
  std::visit([&out](const auto& body) { put(out, body); }, row.body);
}

const Actor* actor_of(const Row& row) {
  return std::visit(
      [](const auto& body) -> const Actor* {
        if constexpr (requires { body.actor; }) {
          return &body.actor;
        } else {
          return nullptr;
        }
      },
      row.body);
}

std::string resource_key(const Row& row) {
  const Actor* actor = actor_of(row);
  if (actor == nullptr) return {};
  return "w\n" + actor->workload.id + "\n" + actor->workload.name;
}

namespace {

/// Names of a person's own attributes that are true of everything on this machine.
bool says_where(std::string_view name) {
  constexpr std::array<std::string_view, 5> kPlaces{"host.", "cloud.", "deployment.", "k8s.cluster.", "k8s.node."};
  return std::ranges::any_of(kPlaces, [&](std::string_view place) { return name.starts_with(place); });
}

void put_sender(Attributes& put, const Sender& sender, bool own) {
  const auto named = [](const auto& one) { return one.first == "host.name"; };
  if (std::ranges::none_of(sender.attributes, named)) put.text("host.name", sender.host_name);
  for (const auto& [name, value] : sender.attributes) {
    if (own || says_where(name)) put.text(name.c_str(), value);
  }
}

}  // namespace

void fill_resource(resource::Resource& out, const Row& row, const Sender& sender) {
  Attributes put(out.mutable_attributes());
  put_sender(put, sender, actor_of(row) == nullptr);
  const Actor* actor = actor_of(row);
  if (actor == nullptr) {
    put.text("service.name", sender.service_name);
    return;
  }
  const Workload& w = actor->workload;
  put.text("service.name", w.name.empty() ? std::string_view("unknown_service") : std::string_view(w.name));
  put.text("keytrail.workload.id", w.id);
  put.text("keytrail.workload.kind", to_string(w.kind));
  put.text("keytrail.workload.known_by", to_string(w.known_by));
  std::string_view before;
  for (const Fact& fact : w.facts) {
    if (fact.name != before) put.text(fact.name.c_str(), fact.value);  // the first of a name is the one that counts
    before = fact.name;
  }
}

void fill_scope(common::InstrumentationScope& out) {
  out.set_name("keytrail");
  out.set_version(KEYTRAIL_VERSION);
}

}  // namespace keytrail::otlp
