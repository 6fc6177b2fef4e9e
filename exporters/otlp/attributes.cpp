// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/attributes.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

#include "agent/base/log.h"
#include "agent/base/program_name.h"
#include "agent/base/times.h"
#include "agent/base/workload_facts.h"
#include "agent/base/workload_pattern.h"
#include "exporters/otlp/service_names.h"
#include "keytrail/fields.h"

namespace keytrail::otlp {

namespace {

std::string time_text(std::int64_t time, Unit unit) {
  if (time == 0) return {};
  return unit == Unit::kUnixNs ? base::format_rfc3339(time) : base::format_rfc3339_s(time).value_or("");
}

/// The attributes of a record: its fields', and what no single field says.
template <Described Record>
void put(Attributes& out, const Record& record);
void put(Attributes& out, const Key& key);
void put(Attributes& out, const Slot& slot);
void put(Attributes&, const Workload&) {}  // it is the resource

template <typename T>
inline constexpr bool kHasNoAttribute = false;  // for whatever T: a static_assert that only a use makes fail

template <typename T>
concept RecordList = Described<typename T::value_type>;

/// One attribute. A list of records has none (put_derived says what of it is sent); any other type without a branch
/// does not compile.
template <typename T>
void put_value(Attributes& out, const char* name, Sent sent, Unit unit, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (value) out.flag(name, true);
  } else if constexpr (std::is_enum_v<T>) {
    out.text(name, to_string(value));
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    if (sent == Sent::kAsNumber)
      out.number(name, static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0)));
    else
      out.text(name, time_text(value, unit));
  } else if constexpr (std::is_integral_v<T>) {
    if (unit == Unit::kDevice)
      out.text(name, device_text(static_cast<std::uint32_t>(value)));
    else if (sent == Sent::kAsText)
      out.text(name, std::to_string(value));
    else if (sent != Sent::kUnlessZero || value != 0)
      out.number(name, value);
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    out.text(name, value);
  } else if constexpr (std::is_same_v<T, Fingerprint>) {
    out.text(name, value.text());
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    out.texts(name, value);
  } else if constexpr (std::is_same_v<T, std::optional<std::uint64_t>>) {
    if (value) put_value(out, name, sent, unit, *value);
  } else if constexpr (!RecordList<T>) {
    static_assert(kHasNoAttribute<T>, "a field of this type is sent by no branch: add one, or leave out its .otlp()");
  }
}

template <Described Record>
void put_fields(Attributes& out, const Record& record) {
  each_value(record, [&out]<typename Value>(const auto& field, const Value& value) {
    if constexpr (Described<Value>)
      put(out, value);
    else if (field.attribute != nullptr)
      put_value(out, field.attribute, field.sent, field.unit, value);
  });
}

template <Described Record>
void put_derived(Attributes&, const Record&) {}

void put_derived(Attributes& out, const Actor& actor) {
  out.text("process.executable.name", base::base_name(actor.exe));
  out.text("keytrail.process.instance", std::to_string(actor.id.tgid) + "." + std::to_string(actor.id.start_ns) + "." +
                                            std::to_string(actor.id.exec));
}

void put_derived(Attributes& out, const Destination& to) {
  out.text("server.address", to.host.empty() ? to.address : to.host);
}

void put_derived(Attributes& out, const UseRow& row) {
  if (row.keys.size() == 1) {
    put(out, row.keys.front().key);
    put(out, row.keys.front().slot);
  } else if (!row.keys.empty()) {
    // No keytrail.key.id here: a query by key would take a guess for a fact.
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < std::min(row.keys.size(), kCandidatesMax); ++i)
      ids.push_back(row.keys[i].key.id);
    out.texts("keytrail.key.candidates", ids);
  }
  out.number("keytrail.count", row.requests.value_or(row.connections));
  out.text("keytrail.count.unit", row.requests ? "requests" : "connections");
  if (row.outcome == Outcome::kRefused || row.outcome == Outcome::kFailed)
    out.text("error.type", to_string(row.outcome));
}

template <Described Record>
void put(Attributes& out, const Record& record) {
  put_fields(out, record);
  put_derived(out, record);
}

void put(Attributes& out, const Key& key) {
  if (!key.id.empty() || !key.kind.empty()) put_fields(out, key);
}

void put(Attributes& out, const Slot& slot) {
  each_value(slot, [&]<typename Value>(const auto& field, const Value& value) {
    const bool is_path = field.name == "place" && slot.from == From::kFile;  // the convention has a name for paths
    put_value(out, is_path ? "file.path" : field.attribute, field.sent, field.unit, value);
  });
}

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
  put_fields(out, row);
  std::visit([&out](const auto& body) { put_derived(out, body); }, row.body);
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

const Workload* workload_of(const Row& row) {
  if (const Actor* actor = actor_of(row)) return &actor->workload;
  const auto* revision = std::get_if<RevisionRow>(&row.body);
  return revision == nullptr || revision->workload.id.empty() ? nullptr : &revision->workload;
}

std::string service_of(const Workload& workload) {
  const auto named = base::service_name({workload.facts.begin(), workload.facts.end()});
  return named ? named->value : workload.name;
}

std::string resource_key(const Row& row, bool other) {
  const Workload* workload = workload_of(row);
  if (workload == nullptr) return {};
  return (other ? "o\n" : "w\n") + workload->id + "\n" + workload->name;
}

namespace {

/// Names of a person's own attributes that are true of everything on this machine.
bool says_where(std::string_view name) {
  constexpr std::array<std::string_view, 5> kPlaces{"host.", "cloud.", "deployment.", "k8s.cluster.", "k8s.node."};
  return std::ranges::any_of(kPlaces, [&](std::string_view place) { return name.starts_with(place); });
}

/// Is this put by put_sender() because a person gave it?
bool is_given(const Sender& sender, std::string_view name, bool own) {
  return (own || says_where(name)) &&
         std::ranges::any_of(sender.attributes, [&](const auto& one) { return one.first == name; });
}

void put_sender(Attributes& put, const Sender& sender, bool own) {
  if (!is_given(sender, "host.name", own)) put.text("host.name", sender.host_name);
  for (const auto& [name, value] : sender.attributes) {
    if (own || says_where(name)) put.text(name.c_str(), value);
  }
  if (!sender.machine) return;
  for (const auto known = sender.machine(); const Fact& fact : *known) {
    if (!is_given(sender, fact.name, own)) put.text(fact.name.c_str(), fact.value);
  }
}

}  // namespace

namespace {

/// Under the fact's own name, but for what the conventions want in another form.
void put_fact(Attributes& put, const Workload& w, const Fact& fact) {
  if (fact.name.starts_with("service.")) return;  // put_service() puts what counts
  const base::ImageParts image = base::image_parts(fact.value);
  if (fact.name == fact::kImageName) {
    put.text(fact::kImageName, image.name);
    if (!image.tag.empty()) put.texts("container.image.tags", {std::string(image.tag)});
  } else if (fact.name == fact::kImageDigest) {
    const std::string_view name = base::image_parts(w.value(fact::kImageName)).name;
    const bool bare = image.digest.empty() && !name.empty();
    put.texts(fact::kImageDigest, {bare ? std::string(name) + "@" + fact.value : fact.value});
  } else {
    put.text(fact.name.c_str(), fact.value);
  }
}

/// What the conventions say of a service beside its name.
void put_service(Attributes& put, const Workload& w) {
  const base::ServiceIdentity service = base::service_identity({w.facts.begin(), w.facts.end()});
  put.text(fact::kServiceNamespace, service.name_space);
  put.text(fact::kServiceVersion, service.version);
  put.text(fact::kServiceInstance, service.instance);
}

}  // namespace

void fill_resource(resource::Resource& out, const Row& row, const Sender& sender, bool other) {
  Attributes put(out.mutable_attributes());
  const Workload* of = workload_of(row);
  put_sender(put, sender, of == nullptr);
  if (of == nullptr) {
    put.text("service.name", sender.service_name);
    return;
  }
  Workload w = *of;
  w.name = other ? kOtherService : service_of(*of);
  if (w.name.empty()) put.text("service.name", "unknown_service");
  put_fields(put, w);
  put.text("keytrail.workload.name", of->name);
  std::string_view before;
  for (const Fact& fact : w.facts) {
    // The first of a name is the one that counts.
    if (fact.name != before && !is_given(sender, fact.name, false)) put_fact(put, w, fact);
    before = fact.name;
  }
  put_service(put, w);
}

void fill_scope(common::InstrumentationScope& out) {
  out.set_name("keytrail");
  out.set_version(KEYTRAIL_VERSION);
}

}  // namespace keytrail::otlp
