// SPDX-License-Identifier: Apache-2.0
// Reading answers: a field that is missing or of another type is "", 0, false or an empty list, so that an older
// agent's answer still prints. A name that no answer has does not compile (names.h).
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/times.h"
#include "agent/cli/names.h"

namespace keytrail::cli {

namespace json = boost::json;

[[nodiscard]] inline const json::value* field(const json::object& object, Name name) {
  return object.if_contains(std::string_view(name));
}

[[nodiscard]] inline std::string text(const json::object& object, Name name) {
  const json::value* value = field(object, name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

[[nodiscard]] inline const json::object& object(const json::object& parent, Name name) {
  static const json::object kEmpty;
  const json::value* value = field(parent, name);
  return value != nullptr && value->is_object() ? value->get_object() : kEmpty;
}

[[nodiscard]] inline const json::array& array(const json::object& parent, Name name) {
  static const json::array kEmpty;
  const json::value* value = field(parent, name);
  return value != nullptr && value->is_array() ? value->get_array() : kEmpty;
}

[[nodiscard]] inline bool is_null(const json::object& object, Name name) {
  const json::value* value = field(object, name);
  return value == nullptr || value->is_null();
}

[[nodiscard]] inline std::int64_t whole(const json::value* value) {
  if (value == nullptr) return 0;
  if (value->is_int64()) return value->get_int64();
  if (value->is_uint64()) return static_cast<std::int64_t>(value->get_uint64());
  if (value->is_double()) return static_cast<std::int64_t>(value->get_double());
  return 0;
}

[[nodiscard]] inline std::int64_t number(const json::object& object, Name name) { return whole(field(object, name)); }

/// A counter of the worker: their names are its own, no field's.
[[nodiscard]] inline std::int64_t counter(const json::object& counters, std::string_view name) {
  return whole(counters.if_contains(name));
}

[[nodiscard]] inline bool flag(const json::object& object, Name name) {
  const json::value* value = field(object, name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

/// The value of a workload's fact; of several the first, which is the one that counts. Empty when it is not known.
[[nodiscard]] inline std::string fact_of(const json::object& workload, std::string_view name) {
  for (const json::value& one : array(workload, "facts")) {
    if (one.is_object() && text(one.get_object(), "name") == name) return text(one.get_object(), "value");
  }
  return {};
}

/// Unix ns; 0 when null.
[[nodiscard]] inline std::int64_t time(const json::object& object, Name name) {
  return base::parse_rfc3339(text(object, name)).value_or(0);
}

}  // namespace keytrail::cli
