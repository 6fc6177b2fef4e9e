// SPDX-License-Identifier: Apache-2.0
#include "agent/base/config_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <set>

#include "agent/base/log.h"
#include "agent/base/nearest.h"

namespace keytrail::base::config {
namespace {

std::string unknown_key(const std::string& path, const std::string& key, const Keys& known) {
  std::vector<std::string_view> words;
  for (const auto& [name, setter] : known)
    words.push_back(name);
  if (const std::string_view best = nearest(key, words); !best.empty()) {
    return "unknown key; did you mean " + join(path, std::string(best)) + "?";
  }
  std::string names;
  for (const auto& [name, setter] : known)
    names += (names.empty() ? "" : ", ") + name;
  return "unknown key; known here: " + names;
}

}  // namespace

std::unexpected<Error> Context::error(int line, const std::string& path, const std::string& text) const {
  constexpr std::size_t kMaxShown = 128;  // of a path, whose last word may be anything
  const std::string shown =
      printable(std::string_view(path).substr(0, kMaxShown)) + (path.size() > kMaxShown ? "…" : "");
  return fail(Error::Code::kInvalid,
              fmt::format("{}:{}: {}{}{}", printable(file), line + 1, shown, path.empty() ? "" : ": ", text));
}

std::optional<std::string> look_up(const ConfigOptions& options, const std::string& name) {
  if (options.getenv) return options.getenv(name);
  const char* found = std::getenv(name.c_str());
  return found == nullptr ? std::nullopt : std::optional<std::string>(found);
}

std::string join(const std::string& path, const std::string& key) { return path.empty() ? key : path + "." + key; }

Result<void> read_map(const Context& context, const YAML::Node& node, const std::string& path, const Keys& keys) {
  if (node.IsNull()) return {};
  if (!node.IsMap()) return context.error(node.Mark().line, path, "must be a mapping (key: value)");
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const int line = entry.first.Mark().line;
    if (!entry.first.IsScalar()) return context.error(line, path, "a key must be a plain word");
    const std::string& key = entry.first.Scalar();
    if (!seen.insert(key).second) return context.error(line, join(path, key), "is there twice");
    const auto found = std::ranges::find(keys, key, &Keys::value_type::first);
    if (found == keys.end()) return context.error(line, join(path, key), unknown_key(path, key, keys));
    if (entry.second.IsNull()) continue;  // "key:" without a value keeps the default
    if (Result<void> done = found->second(entry.second, join(path, key)); !done) return done;
  }
  return {};
}

Setter text(const Context& context, std::string& out, std::size_t max) {
  return [&context, &out, max](const YAML::Node& node, const std::string& path) -> Result<void> {
    if (!node.IsScalar()) return context.error(node.Mark().line, path, "must be a text");
    if (node.Scalar().size() > max)
      return context.error(node.Mark().line, path, fmt::format("longer than {} bytes", max));
    if (node.Scalar().find('\0') != std::string::npos) return context.error(node.Mark().line, path, "holds a NUL byte");
    out = node.Scalar();
    return {};
  };
}

Setter absolute_path(const Context& context, std::string& out, std::size_t max) {
  return [&context, &out, max](const YAML::Node& node, const std::string& path) -> Result<void> {
    if (Result<void> done = text(context, out, max)(node, path); !done) return done;
    if (out.empty() || out[0] != '/')
      return context.error(node.Mark().line, path, "must be an absolute path, like /var/lib/keytrail/history.db");
    return {};
  };
}

Setter number(const Context& context, std::uint32_t& out, std::uint32_t least, std::uint32_t most) {
  return [&context, &out, least, most](const YAML::Node& node, const std::string& path) -> Result<void> {
    const std::string wanted = fmt::format("must be a whole number from {} to {}", least, most);
    if (!node.IsScalar()) return context.error(node.Mark().line, path, wanted);
    const std::string& scalar = node.Scalar();
    std::uint32_t value = 0;
    const auto [end, code] = std::from_chars(scalar.data(), scalar.data() + scalar.size(), value);
    if (code != std::errc{} || end != scalar.data() + scalar.size() || value < least || value > most) {
      return context.error(node.Mark().line, path, wanted);
    }
    out = value;
    return {};
  };
}

Setter boolean(const Context& context, bool& out) {
  return [&context, &out](const YAML::Node& node, const std::string& path) -> Result<void> {
    if (!node.IsScalar() || (node.Scalar() != "true" && node.Scalar() != "false")) {
      return context.error(node.Mark().line, path, "must be true or false");
    }
    out = node.Scalar() == "true";
    return {};
  };
}

Setter choice(const Context& context, std::vector<std::string> allowed, std::function<void(const std::string&)> take) {
  return [&context, allowed = std::move(allowed), take = std::move(take)](const YAML::Node& node,
                                                                          const std::string& path) -> Result<void> {
    if (!node.IsScalar() || std::ranges::find(allowed, node.Scalar()) == allowed.end()) {
      return context.error(node.Mark().line, path, fmt::format("must be one of: {}", fmt::join(allowed, ", ")));
    }
    take(node.Scalar());
    return {};
  };
}

Setter list(const Context& context, std::size_t max, Setter each) {
  return [&context, max, each = std::move(each)](const YAML::Node& node, const std::string& path) -> Result<void> {
    if (!node.IsSequence())
      return context.error(node.Mark().line, path, "must be a list (lines that begin with \"- \", or [a, b])");
    if (node.size() > max) return context.error(node.Mark().line, path, fmt::format("more than {} entries", max));
    for (std::size_t i = 0; i < node.size(); ++i) {
      if (Result<void> done = each(node[i], fmt::format("{}[{}]", path, i)); !done) return done;
    }
    return {};
  };
}

Setter section(const Context& context, Keys keys) {
  return [&context, keys = std::move(keys)](const YAML::Node& node, const std::string& path) {
    return read_map(context, node, path, keys);
  };
}

}  // namespace keytrail::base::config
