// SPDX-License-Identifier: Apache-2.0
// Files that have no name to open them by: of a mount that is in no namespace (open_tree, fsmount), renamed over or
// deleted. What a process still holds leads to them: an open descriptor of the file itself, or a folder above it. In: a
// process and a file's identity. Out: the file. May hang as any opening may. Thread: the opener's only one.
#pragma once

#include <string_view>

#include "agent/base/fd.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {

/// The file as an O_PATH descriptor, by its inode, and by its device but on overlayfs and btrfs: the caller checks its
/// identity. A descriptor leads to its file only when that is open for reading, and not O_PATH. `process`: its
/// /proc/PID. `path`: tried below the folders that it holds, also without its first parts. Empty when nothing leads
/// there, or when nothing is known of the file.
[[nodiscard]] base::UniqueFd find_held(const base::UniqueFd& process, const role::Identity& file,
                                       std::string_view path);

}  // namespace keytrail::warden
