// SPDX-License-Identifier: Apache-2.0
// What the sections of the configuration file are read with: a table of keys, each with a setter that checks its value
// and says where and what is wrong. For config*.cpp only.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/config.h"

namespace keytrail::base::config {

/// Where we are: "otlp[0].timeout_s". Values are never part of a message where they could be a secret.
struct Context {
  const std::string& file;
  const ConfigOptions& options;
  Config& config;

  [[nodiscard]] std::unexpected<Error> error(int line, const std::string& path, const std::string& text) const;
};

using Setter = std::function<Result<void>(const YAML::Node&, const std::string& path)>;
using Keys = std::vector<std::pair<std::string, Setter>>;

[[nodiscard]] std::optional<std::string> look_up(const ConfigOptions& options, const std::string& name);
[[nodiscard]] std::string join(const std::string& path, const std::string& key);
[[nodiscard]] Result<void> read_map(const Context& context, const YAML::Node& node, const std::string& path,
                                    const Keys& keys);

// Setters. `out` outlives them; lengths in bytes.
[[nodiscard]] Setter text(const Context& context, std::string& out, std::size_t max = 4096);
[[nodiscard]] Setter absolute_path(const Context& context, std::string& out, std::size_t max = 4095);
[[nodiscard]] Setter number(const Context& context, std::uint32_t& out, std::uint32_t least, std::uint32_t most);
[[nodiscard]] Setter boolean(const Context& context, bool& out);
[[nodiscard]] Setter choice(const Context& context, std::vector<std::string> allowed,
                            std::function<void(const std::string&)> take);
/// A list, of which each entry goes to `each`.
[[nodiscard]] Setter list(const Context& context, std::size_t max, Setter each);
[[nodiscard]] Setter section(const Context& context, Keys keys);

/// The section `identity` (config_identity.cpp).
[[nodiscard]] Keys identity_keys(const Context& context);
void render_identity(YAML::Emitter& out, const IdentityConfig& identity);

}  // namespace keytrail::base::config
