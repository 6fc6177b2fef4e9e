// SPDX-License-Identifier: Apache-2.0
// What the configuration says that must be known before the hooks are armed. The warden parses no YAML: the worker's
// program, already without privilege, reads it and prints names. Thread: the warden's only one, before anything is
// loaded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/warden/options.h"
#include "agent/warden/privilege.h"
#include "keytrail/result.h"

namespace keytrail::warden {

/// The features of `hooks.disable`. Waits at most 5 s. kInvalid: the configuration is refused, its reader has said why;
/// another error: it could not be asked.
[[nodiscard]] Result<std::vector<std::string>> configured_off(const Options& options, const User& worker);

/// One name per line, at most 64 of at most 64 bytes; what is longer is cut off: an unknown name is refused later.
[[nodiscard]] std::vector<std::string> read_names(std::string_view text);

}  // namespace keytrail::warden
