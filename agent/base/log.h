// SPDX-License-Identifier: Apache-2.0
// The log of worker and command line: spdlog to stderr, one line a message, control characters escaped. The warden has
// its own (no libraries).
#pragma once

#include <spdlog/spdlog.h>

#include <string>
#include <string_view>

namespace keytrail::base {

/// Sets up the default logger. `level`: trace, debug, info, warn, error; false when it is none of them.
bool init_log(std::string_view role, std::string_view level);

/// Text from outside (paths, names) made safe for a line of log or terminal: control characters, DEL, invalid UTF-8 and
/// bidirectional overrides become \xNN or \u{NNNN}. The result is valid UTF-8.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace keytrail::base
