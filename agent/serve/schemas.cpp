// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/schemas.h"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "agent/serve/api.h"
#include "keytrail/fields.h"
#include "keytrail/shared_list.h"

namespace keytrail::serve {

namespace json = boost::json;

namespace {

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <typename T>
inline constexpr bool kIsList = false;
template <typename T>
inline constexpr bool kIsList<std::vector<T>> = true;
template <typename T>
inline constexpr bool kIsList<SharedList<T>> = true;

template <Described Record>
void add_schema(json::object& schemas);

template <typename E>
json::object enumerator_schema() {
  json::array words;
  for (const std::string_view word : all_words<E>())
    words.emplace_back(word);
  if (std::ranges::find(words, json::value("unknown")) == words.end())
    words.emplace_back("unknown");  // written by a newer agent
  return {{"type", "string"}, {"enum", std::move(words)}};
}

/// The schema of a value; those of records in it are added to `schemas`.
template <typename T>
json::object value_schema(json::object& schemas, Unit unit) {
  if constexpr (Described<T>) {
    add_schema<T>(schemas);
    return {{"$ref", std::string("#/components/schemas/") + Fields<T>::kName}};
  } else if constexpr (kIsList<T>) {
    return {{"type", "array"}, {"items", value_schema<typename T::value_type>(schemas, unit)}};
  } else if constexpr (kIsOptional<T>) {
    json::object out = value_schema<typename T::value_type>(schemas, unit);
    out["type"] = json::array{out["type"], "null"};
    return out;
  } else if constexpr (std::is_same_v<T, bool>) {
    return {{"type", "boolean"}};
  } else if constexpr (std::is_enum_v<T>) {
    return enumerator_schema<T>();
  } else if constexpr (std::is_integral_v<T>) {
    if (unit == Unit::kNone) return {{"type", "integer"}};
    if (unit == Unit::kDevice) return {{"type", json::array{"string", "null"}}};
    return {{"type", json::array{"string", "null"}}, {"format", "date-time"}};
  } else if constexpr (std::is_floating_point_v<T>) {
    return {{"type", "number"}};
  } else {
    return {{"type", "string"}};
  }
}

template <typename Record>
void add_fields(json::object& schemas, json::object& properties, json::array& required) {
  each_line<Record>([&]<typename Line>(const Line& line) {
    using Value = ValueOf<decltype(line.get), Record>;
    if constexpr (kIsField<Line>) {
      json::object schema;
      if constexpr (std::is_same_v<decltype(line.get), Constant>)
        schema["const"] = line.get.value;
      else
        schema = value_schema<Value>(schemas, line.unit);
      schema["description"] = line.doc;
      properties.emplace(line.name, std::move(schema));
      required.emplace_back(line.name);
    } else if constexpr (kIsInlined<Line> && !kIsVariant<Value>) {
      add_fields<Value>(schemas, properties, required);
    }
  });
}

/// A row is one of these bodies, told apart by its type.
template <typename... Body>
json::array body_schemas(json::object& schemas, std::type_identity<std::variant<Body...>>) {
  json::array out;
  (out.push_back(json::object{{"properties", {{"type", {{"const", to_string(kind_of(Row{.body = Body{}}))}}}}},
                              {"allOf", json::array{value_schema<Body>(schemas, Unit::kNone)}}}),
   ...);
  return out;
}

template <Described Record>
void add_schema(json::object& schemas) {
  if (schemas.contains(Fields<Record>::kName)) return;
  schemas[Fields<Record>::kName] = nullptr;  // a place, so that none is made twice
  json::object properties;
  json::array required;
  add_fields<Record>(schemas, properties, required);
  json::object out{{"type", "object"},
                   {"description", Fields<Record>::kDoc},
                   {"properties", std::move(properties)},
                   {"required", std::move(required)}};
  if constexpr (std::is_same_v<Record, Row>)
    out["oneOf"] = body_schemas(schemas, std::type_identity<decltype(Row::body)>{});
  schemas[Fields<Record>::kName] = std::move(out);
}

}  // namespace

void add_record_schemas(json::object& schemas) {
  add_schema<Row>(schemas);
  add_schema<Edge>(schemas);
  add_schema<Holding>(schemas);
  add_schema<KeySummary>(schemas);
  add_schema<KeyPlace>(schemas);
  add_schema<KeyReader>(schemas);
  add_schema<WorkloadSummary>(schemas);
  add_schema<HistoryStatus>(schemas);
}

std::string_view openapi_json() {
  static const std::string kText = [] {
    json::object whole = json::parse(openapi_paths()).as_object();
    add_record_schemas(whole.at("components").at("schemas").as_object());
    return json::serialize(whole) + "\n";
  }();
  return kText;
}

}  // namespace keytrail::serve
