// SPDX-License-Identifier: Apache-2.0
// Settings that are more than a name and a value: named after the host they are for, or a list of others. Pure.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/examine/arena.h"

namespace keytrail::examine {

/// The host that a setting's name stands for, where it holds a key: of Bundler's "BUNDLE_GEMS__EXAMPLE__COM", of
/// "https://gems.example", in a section that is said to hold keys (composer's "gitlab-token", NuGet's "apikeys") of
/// "gitlab.example" as well. Empty for all others.
[[nodiscard]] std::string_view host_of_setting(std::string_view name, std::string_view section, Arena& scratch);

using Assignment = std::pair<std::string_view, std::string_view>;
/// What a setting of this name and value sets in turn: supervisord's and systemd's environment (A="x",B='y'; A=x B=y),
/// the options of a login module of Java (JAAS: module required username="u" password="p";). Empty for all others.
struct Assignments {
  std::vector<Assignment> list;
  bool variables = false;  ///< of an environment; else of one login
};
[[nodiscard]] Assignments assignments_of(std::string_view name, std::string_view value);

/// Without the line ends that a backslash takes back (properties, shells), and the blanks behind them; a view of
/// `bytes` where there are none. Empty when the scratch memory is used up.
[[nodiscard]] std::string_view joined_lines(std::string_view bytes, Arena& scratch);

}  // namespace keytrail::examine
