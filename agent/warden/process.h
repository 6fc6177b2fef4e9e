// SPDX-License-Identifier: Apache-2.0
// A process as /proc shows it: that it is still the same one, whose it is, as whom it reads and what it can reach.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "agent/base/fd.h"

namespace keytrail::warden {

/// /proc/PID, which stays with this process even when the number is used again; empty when there is none.
[[nodiscard]] base::UniqueFd open_process(std::uint32_t pid);
/// The same, empty also when it began at another time. `start_ns`: ns since boot; 0: not checked.
[[nodiscard]] base::UniqueFd open_named(std::uint32_t pid, std::uint64_t start_ns);
/// Whose doing it is when what a process opened hangs: its real user, of a daemon that acts for somebody that one, in a
/// user namespace that a user made (a rootless container) that user; kGoneUser when it has ended. What it runs as does
/// not hide that (a program that is set-user-ID, or undumpable).
inline constexpr uid_t kGoneUser = static_cast<uid_t>(-1);
[[nodiscard]] uid_t user_of(std::uint32_t pid, std::uint64_t start_ns);
/// Of a process's /proc/PID; 0 when it has ended.
[[nodiscard]] std::uint32_t mount_namespace(int process);

/// /proc/PID/stat of an open /proc/PID; empty when the process is gone.
[[nodiscard]] std::array<char, 1024> stat_text(int process);
/// A number of /proc/PID/stat by its place (proc_pid_stat(5), 3 and up); 0 when it is not there. `text` ends with a
/// NUL.
[[nodiscard]] std::uint64_t stat_field(const char* text, int number);

/// As whom a process is let read.
struct Reader {
  std::uint64_t uid, gid;
};

enum class ReadsAs : std::uint8_t { kReal = 1, kFileSystem = 4 };  ///< columns of /proc/PID/status
/// Nothing when the process is gone.
[[nodiscard]] std::optional<Reader> reader_of(int process, ReadsAs which = ReadsAs::kFileSystem);
/// By the bits of the file.
[[nodiscard]] bool may_read(const struct stat& file, const Reader& who);
/// The file at `path`, gone to step by step as `who` could, also where links lead: whoever names a place must not have
/// looked at through us what he cannot read. O_PATH; empty with `error` where the way ends. `mounts`: nothing of other
/// mounts is asked; empty: of all. Blocks as long as the file system does.
[[nodiscard]] base::UniqueFd find_as(base::UniqueFd root, std::string path, const Reader& who, int& error,
                                     std::span<const std::uint64_t> mounts = {});

}  // namespace keytrail::warden
