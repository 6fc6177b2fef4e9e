// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/output.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "agent/cli/fields.h"

namespace keytrail::cli {
namespace {

void put_pretty(std::string& out, const json::value& value, std::size_t indent) {
  const std::string inner(indent + 2, ' ');
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    out += "{\n";
    for (auto it = object->begin(); it != object->end(); ++it) {
      out += inner + json::serialize(it->key()) + ": ";
      put_pretty(out, it->value(), indent + 2);
      out += it + 1 == object->end() ? "\n" : ",\n";
    }
    out += std::string(indent, ' ') + "}";
    return;
  }
  if (const auto* list = value.if_array(); list != nullptr && !list->empty()) {
    out += "[\n";
    for (auto it = list->begin(); it != list->end(); ++it) {
      out += inner;
      put_pretty(out, *it, indent + 2);
      out += it + 1 == list->end() ? "\n" : ",\n";
    }
    out += std::string(indent, ' ') + "]";
    return;
  }
  if (const auto* number = value.if_double())
    out += fmt::format("{}", *number);  // Boost writes 6.1E1
  else
    out += json::serialize(value);
}

void put_yaml(YAML::Emitter& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      out << YAML::Null;
      break;
    case json::kind::bool_:
      out << value.get_bool();
      break;
    case json::kind::int64:
      out << value.get_int64();
      break;
    case json::kind::uint64:
      out << value.get_uint64();
      break;
    case json::kind::double_:
      out << value.get_double();
      break;
    case json::kind::string:
      out << YAML::DoubleQuoted << std::string(value.get_string());
      break;
    case json::kind::array:
      out << YAML::BeginSeq;
      for (const json::value& item : value.get_array())
        put_yaml(out, item);
      out << YAML::EndSeq;
      break;
    case json::kind::object:
      out << YAML::BeginMap;
      for (const auto& [name, item] : value.get_object()) {
        out << YAML::Key << std::string(name) << YAML::Value;
        put_yaml(out, item);
      }
      out << YAML::EndMap;
      break;
  }
}

}  // namespace

std::string pretty_json(const json::value& value) {
  std::string out;
  put_pretty(out, value, 0);
  return out + "\n";
}

std::string to_yaml(const json::value& value) {
  YAML::Emitter out;
  put_yaml(out, value);
  return std::string(out.c_str()) + "\n";
}

std::string json_lines(const json::object& answer) {
  std::string out;
  for (const json::value& row : array(answer, "rows"))
    out += json::serialize(row) + "\n";
  json::object last{{"type", "coverage"}};
  for (const auto& [name, value] : object(answer, "coverage"))
    last[name] = value;
  last["complete"] = flag(answer, "complete");
  return out + json::serialize(last) + "\n";
}

}  // namespace keytrail::cli
