// SPDX-License-Identifier: Apache-2.0
// Opens what a process opened: through the root of a live process of its mount namespace, regular files on known file
// systems only, and only if it is still the same file. `open_requested` may hang on a foreign file system, so it runs
// in a child that can be killed.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "agent/base/fd.h"
#include "keytrail/result.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {

struct Opening {
  role::Unread unread = role::Unread::kGone;
  bool unchanged = false;     ///< `look` only: the same file as before; no descriptor
  role::Identity file;        ///< what was found, where anything was
  base::UniqueFd descriptor;  ///< read-only
};

/// Follows the request (see role::Open). Blocks as long as the file system does. `kept_root`: a root of the process's
/// mount namespace that serves when no process of it is left; -1: none.
[[nodiscard]] Opening open_requested(const role::Open& request, int kept_root = -1);

/// /proc/PID, which stays with this process even when the number is used again; empty when there is none.
[[nodiscard]] base::UniqueFd open_process(std::uint32_t pid);
/// The same, empty also when it began at another time. `start_ns`: ns since boot; 0: not checked.
[[nodiscard]] base::UniqueFd open_named(std::uint32_t pid, std::uint64_t start_ns);
/// Of a process's /proc/PID; 0 when it has ended.
[[nodiscard]] std::uint32_t mount_namespace(int process);

/// The file as an O_PATH descriptor: nothing is opened yet, no device woken, no FIFO waited for. Links lead no further
/// than `root`. Empty with `error` when there is none.
[[nodiscard]] base::UniqueFd find_in_root(int root, const std::string& path, int& error);

/// A number of /proc/PID/stat by its place (proc_pid_stat(5), 3 and up); 0 when it is not there. `text` ends with a
/// NUL.
[[nodiscard]] std::uint64_t stat_field(const char* text, int number);
/// True for file systems that answer for themselves: ext2/3/4, xfs, btrfs, tmpfs, ramfs, overlayfs, f2fs, zfs,
/// squashfs, erofs. FUSE, NFS, 9p, virtiofs and autofs may block for ever or lie: they are refused.
[[nodiscard]] bool is_known_filesystem(std::uint64_t magic);
/// Inode, change time, size and kind of file system (`seen` may be of a layer where `now` is of its overlay); the
/// device too, except on overlayfs and btrfs, where stat's differs from the kernel's. An inode of 0 means that nothing
/// is known: then every file is the same.
[[nodiscard]] bool same_file(const role::Identity& seen, const role::Identity& now);
[[nodiscard]] role::Identity identity_of(const struct stat& file, std::uint64_t magic);

/// The child that opens. Thread: the warden's only one.
class OpenerChild {
 public:
  OpenerChild() = default;
  ~OpenerChild();
  OpenerChild(const OpenerChild&) = delete;
  OpenerChild& operator=(const OpenerChild&) = delete;

  /// Forks it. It gives up all capabilities but those for opening, and every inherited descriptor.
  Result<void> start();
  /// Kills it; the caller reaps `pid`. A child stuck in the kernel goes when the kernel lets it.
  void kill();
  [[nodiscard]] bool running() const { return pid_ > 0; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int socket() const { return socket_.get(); }

  bool ask(const role::Open& request);
  /// Names a process whose mounts are to be kept (KeptMounts); nothing answers. False when it could not be told.
  bool keep(const role::KeepMounts& asked);
  /// The next answer; false when none is there, or the child is gone.
  bool answer(role::Opened& out, base::UniqueFd& descriptor);

 private:
  pid_t pid_ = -1;
  base::UniqueFd socket_;
};

}  // namespace keytrail::warden
