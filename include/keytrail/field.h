// SPDX-License-Identifier: Apache-2.0
// How a record's fields are described: one line a field, from which its JSON, OTLP attributes, schema, dictionary
// columns and the names that the command line reads are made. The lines are in fields.h; here is what a line can say.
// A member without a line does not compile.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace keytrail {

/// The description of a record: `kName` (of its schema), `kDoc`, and `kList`, a tuple of lines in the order of writing.
template <typename Record>
struct Fields;

/// What the type of a value does not say of it. Times are written as RFC 3339 with ns, or null for 0; the kernel's
/// device numbers as "8:1", or null for 0.
enum class Unit : std::uint8_t { kNone, kUnixSeconds, kUnixNs, kDevice };

/// How OTLP sends a value. Empty text, a false flag and an absent number are never sent.
enum class Sent : std::uint8_t {
  kAsIs,        ///< a time as RFC 3339 text
  kAsText,      ///< a number as text, where the convention wants text
  kAsNumber,    ///< a time as Unix ns
  kUnlessZero,  ///< a number that says nothing when it is 0
};

/// A field. `Get` is a member pointer, or a function of the record for what is derived from others.
template <typename Get>
struct Field {
  std::string_view name;  ///< in JSON, in the schema and on the command line
  Get get;
  std::string_view doc;  ///< one line for people
  Unit unit = Unit::kNone;
  /// OTLP attribute: the established convention's name where there is one; null: not sent.
  const char* attribute = nullptr;
  Sent sent = Sent::kAsIs;
  std::string_view column;  ///< of the dictionary's table

  [[nodiscard]] consteval Field otlp(const char* name_there, Sent how = Sent::kAsIs) const {
    Field out = *this;
    out.attribute = name_there;
    out.sent = how;
    return out;
  }
  /// Where the history's column has another name than the field.
  [[nodiscard]] consteval Field in_column(std::string_view name_there) const {
    Field out = *this;
    out.column = name_there;
    return out;
  }
};

/// A record (or a variant of records) whose fields are written among those of its owner.
template <typename Get>
struct Inlined {
  Get get;
};

/// A member that is written nowhere.
template <typename Get>
struct LeftOut {
  Get get;
  std::string_view why;
};

/// A derived field that says the same of every record: what it is.
struct Constant {
  const char* value;
  template <typename Record>
  constexpr const char* operator()(const Record&) const {
    return value;
  }
};

template <typename Get>
[[nodiscard]] consteval auto field(std::string_view name, Get get, std::string_view doc) {
  return Field<Get>{name, get, doc, Unit::kNone, nullptr, Sent::kAsIs, name};
}
/// Unix seconds; 0 = not known.
template <typename Owner>
[[nodiscard]] consteval auto time_s(std::string_view name, std::int64_t Owner::* get, std::string_view doc) {
  return Field<decltype(get)>{name, get, doc, Unit::kUnixSeconds, nullptr, Sent::kAsIs, name};
}
/// Unix ns; 0 = not known, or never.
template <typename Owner>
[[nodiscard]] consteval auto time_ns(std::string_view name, std::int64_t Owner::* get, std::string_view doc) {
  return Field<decltype(get)>{name, get, doc, Unit::kUnixNs, nullptr, Sent::kAsIs, name};
}
/// The kernel's number of a device; 0 = not known.
template <typename Owner>
[[nodiscard]] consteval auto device(std::string_view name, std::uint32_t Owner::* get, std::string_view doc) {
  return Field<decltype(get)>{name, get, doc, Unit::kDevice, nullptr, Sent::kAsIs, name};
}
[[nodiscard]] consteval auto constant(std::string_view name, const char* value, std::string_view doc) {
  return field(name, Constant{value}, doc);
}
template <typename Get>
[[nodiscard]] consteval auto inlined(Get get) {
  return Inlined<Get>{get};
}
template <typename Get>
[[nodiscard]] consteval auto left_out(Get get, std::string_view why) {
  return LeftOut<Get>{get, why};
}

template <typename Line>
inline constexpr bool kIsField = false;
template <typename Get>
inline constexpr bool kIsField<Field<Get>> = true;
template <typename Line>
inline constexpr bool kIsInlined = false;
template <typename Get>
inline constexpr bool kIsInlined<Inlined<Get>> = true;
template <typename T>
inline constexpr bool kIsVariant = false;
template <typename... T>
inline constexpr bool kIsVariant<std::variant<T...>> = true;

template <typename T>
concept Described = requires { Fields<T>::kList; };

template <typename Get, typename Record>
[[nodiscard]] constexpr decltype(auto) get_from(Get get, Record& record) {
  if constexpr (std::is_member_object_pointer_v<Get>)
    return (record.*get);
  else
    return get(record);
}

/// The type that a line's value has.
template <typename Get, typename Record>
using ValueOf = std::remove_cvref_t<decltype(get_from(std::declval<Get>(), std::declval<const Record&>()))>;

namespace detail {

struct AnyValue {
  template <typename T>
  operator T() const;
};

template <typename Record, std::size_t... I>
consteval bool takes(std::index_sequence<I...>) {
  return requires { Record{(static_cast<void>(I), AnyValue{})...}; };
}

/// An aggregate has N members when N values initialise it, and one more does not.
template <typename Record, std::size_t N>
consteval bool has_members() {
  return takes<Record>(std::make_index_sequence<N>{}) && !takes<Record>(std::make_index_sequence<N + 1>{});
}

template <typename A, typename B>
consteval bool same_member(A a, B b) {
  if constexpr (std::is_same_v<A, B> && std::is_member_object_pointer_v<A>)
    return a == b;
  else
    return false;
}

/// Each member has one line, and no two lines have one member.
template <typename Record>
consteval bool complete() {
  constexpr std::size_t kMembers = std::apply(
      [](const auto&... line) { return (std::size_t{std::is_member_object_pointer_v<decltype(line.get)>} + ... + 0); },
      Fields<Record>::kList);
  constexpr bool kOnce = std::apply(
      [](const auto&... line) {
        const auto lines_of = [&](auto get) { return (std::size_t{same_member(get, line.get)} + ... + 0); };
        return ((lines_of(line.get) <= 1) && ...);
      },
      Fields<Record>::kList);
  return kOnce && has_members<Record, kMembers>();
}

}  // namespace detail

/// Calls `visit(line)` for each line as it stands.
template <Described Record, typename Visit>
constexpr void each_line(const Visit& visit) {
  static_assert(detail::complete<Record>(),
                "each member of a described record has one line in include/keytrail/fields.h");
  std::apply([&](const auto&... line) { (visit(line), ...); }, Fields<Record>::kList);
}

/// How many fields the record has, those of inlined records among them; of a variant the most that it can have.
template <typename Record>
[[nodiscard]] consteval std::size_t field_count() {
  if constexpr (kIsVariant<Record>) {
    return []<typename... Body>(std::type_identity<std::variant<Body...>>) {
      return std::max({field_count<Body>()...});
    }(std::type_identity<Record>{});
  } else {
    std::size_t count = 0;
    each_line<Record>([&]<typename Line>(const Line&) {
      if constexpr (kIsField<Line>)
        ++count;
      else if constexpr (kIsInlined<Line>)
        count += field_count<ValueOf<decltype(Line::get), Record>>();
    });
    return count;
  }
}

/// Calls `visit(field, value)` for each field of the record, those of inlined records in their place.
template <typename Record, typename Visit>
  requires Described<std::remove_const_t<Record>>
constexpr void each_value(Record& record, const Visit& visit) {
  each_line<std::remove_const_t<Record>>([&]<typename Line>(const Line& line) {
    if constexpr (kIsField<Line>) {
      visit(line, get_from(line.get, record));
    } else if constexpr (kIsInlined<Line>) {
      auto& inner = get_from(line.get, record);
      if constexpr (kIsVariant<std::remove_cvref_t<decltype(inner)>>)
        std::visit([&](auto& body) { each_value(body, visit); }, inner);
      else
        each_value(inner, visit);
    }
  });
}

}  // namespace keytrail
