// SPDX-License-Identifier: Apache-2.0
// Directories, the fingerprint key, the lock and the listening socket: what the warden makes before anything else runs.
// Every message is a sentence that says what to do.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "agent/base/fd.h"
#include "agent/warden/privilege.h"
#include "keytrail/result.h"

namespace keytrail::warden {

/// DIR/ 0755 root; DIR/empty 0555 root, the examiner's root. Existing ones are checked: a directory of root, no
/// symlink.
Result<void> make_run_dir(const std::string& dir);
/// DIR/ 1770 root:group of the user (sticky: the worker makes its files there, but cannot take away the warden's),
/// DIR/warden 0700 root.
Result<void> make_state_dir(const std::string& dir, const User& user);

/// DIR/warden/fingerprint.key: 16 bytes, 0600, root; made once with getrandom. Refused when it is a symlink, of another
/// owner, size or mode.
Result<std::array<std::uint8_t, 16>> read_fingerprint_key(const std::string& state_dir);

/// Takes DIR/warden.lock; fails when another warden has it.
Result<base::UniqueFd> take_lock(const std::string& run_dir);

/// A listening socket at DIR/api.sock, 0660 root:group (0: root alone). What lies there is replaced only when it is a
/// socket of root's and nobody answers.
Result<base::UniqueFd> listen_api(const std::string& run_dir, gid_t group);

}  // namespace keytrail::warden
