// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/row_json.h"

#include <boost/json.hpp>
#include <optional>
#include <type_traits>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/times.h"
#include "keytrail/fields.h"

namespace keytrail::serve {

namespace json = boost::json;
using base::printable;

namespace {

template <Described Record>
json::object record_json(const Record& record);

json::value seconds_or_null(std::int64_t unix_s) {
  const auto text = unix_s == 0 ? std::nullopt : base::format_rfc3339_s(unix_s);
  return text ? json::value(*text) : json::value();
}

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

/// Hands what is written of the value to `sink`, which makes the JSON value of it in its place: none is moved.
template <typename T, typename Sink>
void write(const T& value, Unit unit, const Sink& sink) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    if (unit == Unit::kNone)
      sink(value);
    else
      sink(unit == Unit::kUnixNs ? time_or_null(value) : seconds_or_null(value));
  } else if constexpr (std::is_same_v<T, std::uint32_t>) {
    if (unit != Unit::kDevice)
      sink(value);
    else if (value == 0)
      sink(nullptr);
    else
      sink(device_text(value));
  } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, const char*>) {
    sink(value);
  } else if constexpr (std::is_enum_v<T>) {
    sink(to_string(value));
  } else if constexpr (std::is_same_v<T, std::string>) {
    sink(printable(value));
  } else if constexpr (std::is_same_v<T, Fingerprint>) {
    sink(value.text());
  } else if constexpr (kIsOptional<T>) {
    if (value)
      write(*value, unit, sink);
    else
      sink(nullptr);
  } else if constexpr (Described<T>) {
    sink(record_json(value));
  } else {
    json::array out;
    out.reserve(value.size());
    for (const auto& item : value)
      write(item, unit, [&out](auto&& one) { out.emplace_back(std::forward<decltype(one)>(one)); });
    sink(std::move(out));
  }
}

template <Described Record>
json::object record_json(const Record& record) {
  json::object out;
  out.reserve(field_count<Record>());
  each_value(record, [&out](const auto& field, const auto& value) {
    write(value, field.unit, [&](auto&& one) { out.emplace(field.name, std::forward<decltype(one)>(one)); });
  });
  return out;
}

}  // namespace

json::value time_or_null(std::int64_t unix_ns) {
  return unix_ns == 0 ? json::value() : json::value(base::format_rfc3339(unix_ns));
}

json::object to_json(const Row& row) { return record_json(row); }
std::string to_json_text(const Row& row) { return json::serialize(to_json(row)); }
json::object to_json(const Actor& actor) { return record_json(actor); }
json::object to_json(const Edge& edge) { return record_json(edge); }
json::object to_json(const Holding& holding) { return record_json(holding); }
json::object to_json(const KeySummary& summary) { return record_json(summary); }
json::object to_json(const KeyPlace& place) { return record_json(place); }
json::object to_json(const KeyReader& reader) { return record_json(reader); }
json::object to_json(const WorkloadSummary& summary) { return record_json(summary); }
json::object to_json(const GapRow& gap) { return record_json(gap); }
json::object to_json(const HistoryStatus& status) { return record_json(status); }

}  // namespace keytrail::serve
