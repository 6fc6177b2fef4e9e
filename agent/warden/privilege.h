// SPDX-License-Identifier: Apache-2.0
// Users and capabilities. Raw system calls: no library. Thread: before any other exists.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>

#include "keytrail/result.h"

namespace keytrail::warden {

struct User {
  uid_t uid = 65534;
  gid_t gid = 65534;
  bool fallback = false;  ///< the named user does not exist: this is `nobody`
};

/// Looks `name` up; `nobody` when it does not exist. Never root: that is refused.
[[nodiscard]] Result<User> find_user(const std::string& name);

/// The group of that name, else of that number (0 to 4294967294): a container has names of its own.
[[nodiscard]] Result<gid_t> find_group(const std::string& name);

/// What the warden goes on with: load and read maps (BPF, PERFMON, NET_ADMIN), open (SYS_PTRACE, DAC_READ_SEARCH,
/// FOWNER), start and end children (SETUID, SETGID, SETPCAP, KILL), build the examiner's sandbox (SYS_ADMIN,
/// SYS_CHROOT, IPC_LOCK).
[[nodiscard]] std::span<const int> warden_capabilities();
/// What the opener needs: SYS_PTRACE, DAC_READ_SEARCH, FOWNER.
[[nodiscard]] std::span<const int> opener_capabilities();

/// Keeps these capabilities (of those there are) and gives the rest up, in the bounding set too; no new privileges
/// through exec. False when the kernel refused.
bool keep_only(std::span<const int> capabilities);

/// The worker: this user, no groups, no capability, no new privileges, no core file. False when any of it failed.
bool become_worker(const User& user);

}  // namespace keytrail::warden
