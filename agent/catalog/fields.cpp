// SPDX-License-Identifier: Apache-2.0
#include "agent/catalog/fields.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/nearest.h"

namespace keytrail::catalog::source {

std::string join(const std::vector<std::string_view>& names) {
  std::string out;
  for (std::string_view name : names) {
    if (!out.empty()) out += ", ";
    out += name;
  }
  return out;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& known) {
  const std::string_view best = base::nearest(word, known);
  return best.empty() ? "" : " (did you mean `" + std::string(best) + "`?)";
}

Fields::Fields(const YAML::Node& node, const std::string& file, Problems& problems)
    : node_(node), file_(file), problems_(problems) {
  where_ = {file, node.Mark().line + 1};
  if (!node.IsMap()) problem(where_.line, "an entry must be a map {key: value, …}");
}

std::string Fields::text(std::string_view key, bool required) {
  const YAML::Node value = get(key, required);
  if (!value.IsDefined()) return {};
  if (!value.IsScalar()) {
    problem(value.Mark().line + 1, "`" + std::string(key) + "` must be a text");
    return {};
  }
  return value.Scalar();
}

std::vector<std::string> Fields::list(std::string_view key, bool required) {
  const YAML::Node value = get(key, required);
  std::vector<std::string> out;
  if (!value.IsDefined()) return out;
  if (!value.IsSequence()) {
    problem(value.Mark().line + 1, "`" + std::string(key) + "` must be a list [a, b]");
    return out;
  }
  for (const YAML::Node& item : value) {
    if (item.IsScalar()) {
      out.push_back(item.Scalar());
    } else {
      problem(item.Mark().line + 1, "`" + std::string(key) + "` must hold texts only");
    }
  }
  return out;
}

bool Fields::flag(std::string_view key, bool fallback) {
  const YAML::Node value = get(key, false);
  if (!value.IsDefined()) return fallback;
  if (value.IsScalar() && (value.Scalar() == "true" || value.Scalar() == "false")) return value.Scalar() == "true";
  problem(value.Mark().line + 1, "`" + std::string(key) + "` must be true or false");
  return fallback;
}

std::uint16_t Fields::number_of(std::string_view key, const std::string& value) {
  const bool digits =
      !value.empty() && value.size() <= 5 && std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
  const unsigned long parsed = digits ? std::stoul(value) : 65536UL;
  if (parsed > 65535UL) {
    problem(where_.line, "`" + std::string(key) + "` must be a number from 0 to 65535");
    return 0;
  }
  return static_cast<std::uint16_t>(parsed);
}

std::uint16_t Fields::number(std::string_view key) { return number_of(key, text(key, true)); }

std::vector<std::uint16_t> Fields::numbers(std::string_view key) {
  std::vector<std::uint16_t> out;
  for (const std::string& value : list(key))
    out.push_back(number_of(key, value));
  return out;
}

std::size_t Fields::choice(std::string_view key, std::span<const std::string_view> known, std::size_t fallback,
                           bool required) {
  const std::string value = text(key, required);
  if (value.empty()) return fallback;
  std::size_t index = 0;
  for (std::string_view name : known) {
    if (name == value) return index;
    ++index;
  }
  problem(where_.line, "`" + std::string(key) + "` is `" + base::printable(value) +
                           "`; it must be one of: " + join({known.begin(), known.end()}));
  return fallback;
}

std::string Fields::verified() {
  static constexpr std::array<const char*, 3> kMarks = {"opened", "indexed", "cited"};
  (void)list("source", true);
  return kMarks.at(choice("verified", {"opened", "indexed", "cited"}, 2, true));
}

void Fields::finish() {
  if (!node_.IsMap()) return;
  std::set<std::string> seen;
  for (const auto& pair : node_) {
    const std::string key = pair.first.IsScalar() ? pair.first.Scalar() : std::string("?");
    const int line = pair.first.Mark().line + 1;
    const std::vector<std::string_view> known(asked_.begin(), asked_.end());
    if (!seen.insert(key).second) problem(line, "`" + base::printable(key) + "` is there twice");
    if (std::ranges::find(asked_, key) != asked_.end()) continue;
    problem(line,
            "unknown key `" + base::printable(key) + "`" + did_you_mean(key, known) + "; known here: " + join(known));
  }
}

YAML::Node Fields::get(std::string_view key, bool required) {
  asked_.emplace_back(key);
  if (!node_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
  const YAML::Node found = std::as_const(node_)[std::string(key)];
  if (!found.IsDefined() && required) problem(where_.line, "`" + std::string(key) + "` is missing");
  return found;
}

}  // namespace keytrail::catalog::source
