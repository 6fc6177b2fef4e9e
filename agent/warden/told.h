// SPDX-License-Identifier: Apache-2.0
// Whether a process was told to read a file: by its arguments or the environment that it began with. Then what the
// worker takes the file for is believed (role::Examine::named). And whether a file that it has read tells of another
// one. Runs in an opener's child.
#pragma once

#include <functional>
#include <string_view>

#include "agent/warden/hang_guard.h"
#include "agent/warden/opener.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {

/// The program was told to read it, and it can, as itself and as whoever started it (of a program that is set-user-ID
/// that one chose the arguments). Never of the agent's own processes.
[[nodiscard]] bool is_told(const role::Open& request, const Opening& opening, const HangGuard& guard);

/// Whether `text` (strings that each end with a NUL, as /proc/PID/cmdline has them) has a word that ends with this base
/// name as its last part and of which `is_meant` says that it leads to the file. A word may begin in several places.
[[nodiscard]] bool names_file(std::string_view text, std::string_view base_name,
                              const std::function<bool(std::string_view word)>& is_meant);
/// Whether a file at `teller` that holds `text` tells of the place `path`: some word of it, between what ends words in
/// such files, is one that there means that path (base::told_path).
[[nodiscard]] bool tells_of_place(std::string_view text, std::string_view teller, std::string_view path);
/// Whether this word, said by a process that stands in `standing`, is that path: the whole of it, or of a word with
/// folders (which may be meant from elsewhere) its end. By the text alone.
[[nodiscard]] bool means_file(std::string_view word, std::string_view path, std::string_view standing);

}  // namespace keytrail::warden
