// SPDX-License-Identifier: Apache-2.0
// What people know a process by. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "keytrail/process.h"

namespace keytrail::base {

/// The last component of a path.
[[nodiscard]] constexpr std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

/// The script when an interpreter runs one, the applet of a multi-call binary, else the executable's base name; the
/// comm when neither is known. `filename`: what was passed to execve. It counts for these only: anybody can make a link
/// named kubelet to any program.
[[nodiscard]] std::string program_name(std::string_view exe, std::string_view filename, std::string_view comm = {});

/// The same; of an interpreter that was given its script as an argument "python3 run.py", "python3 -m http.server",
/// "java app.jar": its name without what follows the first dot, which the next update changes. Of a `#!` program that
/// is older than the agent, by the name that the kernel gave its thread, the script alone.
[[nodiscard]] std::string program_name(const Process& process);

}  // namespace keytrail::base
