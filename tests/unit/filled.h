// SPDX-License-Identifier: Apache-2.0
// A record whose every field has a value of its own, made from its description: a new field needs no line here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "keytrail/fields.h"

namespace keytrail::test {

template <Described Record>
[[nodiscard]] Record filled();

/// The same for the same name in every build: fields that come and go change no other's value.
[[nodiscard]] constexpr int number_of(std::string_view name) {
  int out = 0;
  for (const char letter : name)
    out = (out * 31 + letter) % 997;
  return out + 1;
}

template <typename T>
void fill(T& value, std::string_view name, Unit unit) {
  const int number = number_of(name);
  if constexpr (std::is_same_v<T, std::int64_t>) {
    value = 1'700'000'000 + number;
    if (unit == Unit::kUnixNs) value = value * 1'000'000'000 + number;
  } else if constexpr (std::is_same_v<T, bool>) {
    value = true;
  } else if constexpr (std::is_enum_v<T>) {
    value = static_cast<T>(1);
  } else if constexpr (std::is_floating_point_v<T>) {
    value = number + 0.5;
  } else if constexpr (std::is_integral_v<T>) {
    value = static_cast<T>(number);
  } else if constexpr (std::is_same_v<T, std::string>) {
    value = "the " + std::string(name);
  } else if constexpr (std::is_same_v<T, Fingerprint>) {
    value.bytes.fill(static_cast<std::uint8_t>(number));
  } else if constexpr (Described<T>) {
    value = filled<T>();
  } else if constexpr (requires { value.shares(value); }) {
    typename T::value_type one;
    fill(one, name, unit);
    value.push_back(one);
  } else if constexpr (requires { value.emplace_back(); }) {
    fill(value.emplace_back(), name, unit);
    fill(value.emplace_back(), name, unit);
  } else {
    fill(value.emplace(), name, unit);
  }
}

template <Described Record>
Record filled() {
  Record out;
  each_line<Record>([&]<typename Line>(const Line& line) {
    if constexpr (std::is_member_object_pointer_v<decltype(line.get)>) {
      auto& value = get_from(line.get, out);
      if constexpr (kIsField<Line>)
        fill(value, line.name, line.unit);
      else if constexpr (kIsInlined<Line> && Described<std::remove_cvref_t<decltype(value)>>)
        value = filled<std::remove_cvref_t<decltype(value)>>();
    }
  });
  if constexpr (std::is_same_v<Record, Workload>) {  // those that fields of their own are derived from
    out.facts = {{fact::kContainerId, "the container_id"},
                 {fact::kPodUid, "the pod_uid"},
                 {fact::kCgroup, "the cgroup"},
                 {fact::kUnit, "the unit"}};
  }
  return out;
}

/// A row of the history with this body.
template <Described Body>
[[nodiscard]] Row filled_row() {
  Row out = filled<Row>();
  out.body = filled<Body>();
  return out;
}

}  // namespace keytrail::test
