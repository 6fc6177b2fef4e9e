// SPDX-License-Identifier: Apache-2.0
// Opens what a process opened: through the root of a live process of its mount namespace, regular files on known file
// systems only, and only if it is still the same file. `open_requested` and `take_copy` may hang on a foreign file
// system, so they run in a child that can be killed; who asks gets a copy in memory, which cannot hang.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/warden/hang_guard.h"
#include "keytrail/result.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {

struct Opening {
  role::Unread unread = role::Unread::kGone;
  bool unchanged = false;     ///< `look` only: the same file as before; no descriptor
  role::Identity file;        ///< what was found, where anything was
  base::UniqueFd descriptor;  ///< read-only
  std::string place;          ///< role::Opened::place: by the kernel, with all links gone
  bool named = false;         ///< role::Examine::named
  std::uint32_t mnt_ns = 0;   ///< role::Opened::mnt_ns
  std::uint32_t owner = role::kNobody;
};

/// HangBoard's key of who asks for a way that is not in the kernel's memory: one user's file systems that hang are not
/// another's.
[[nodiscard]] std::uint64_t key_of(const role::Open& request);
/// Who reads what a process has in memory waits for that process's own page faults.
[[nodiscard]] std::uint64_t key_of_process(const role::Open& request);

/// Follows the request (see role::Open). Blocks as long as the file system does. `kept_root`: a root of the process's
/// mount namespace that serves when no process of it is left; -1: none. `guard` is told what is waited for.
[[nodiscard]] Opening open_requested(const role::Open& request, int kept_root = -1, HangGuard guard = {});
/// Opens what was found, if it may be and is what is meant: a regular file of a known file system, of at most 1 MiB,
/// with no write lease. `root`: of the process through which it was found; -1: of the mount namespace.
[[nodiscard]] Opening open_found(const base::UniqueFd& found, const role::Open& request, const HangGuard& guard,
                                 int root = -1);
/// Puts a sealed copy in memory in place of the descriptor: nobody else ever waits for that file. `is_file`: it must
/// still be what was opened, or it is kChanged. Blocks as long as the file system does.
void take_copy(Opening& opening, bool is_file);
/// How the kernel names what was found, below the root of its process (-1: of its mount namespace), which may be a
/// folder of the namespace; empty when that is too long.
[[nodiscard]] std::string place_of(int found, int root);
/// HangBoard's key of the mount that a descriptor is of; no file system is asked. 0 where the kernel does not tell.
[[nodiscard]] std::uint64_t mount_of(int fd);
/// Whether /proc/locks (`text`) shows a write lease on this file: even a look with O_NONBLOCK would break it. By device
/// and inode; by the inode alone on overlayfs and btrfs, where stat shows another device than the kernel has.
[[nodiscard]] bool shows_write_lease(std::string_view text, const role::Identity& file);
/// The same of the machine's, as they were at most 1 s ago, mostly 200 ms: to read them holds up who locks files.
[[nodiscard]] bool has_write_lease(const role::Identity& file);

/// The file as an O_PATH descriptor: nothing is opened yet, no device woken, no FIFO waited for. Links lead no further
/// than `root`. Empty with `error` when there is none.
/// `cached_only`: without waiting for any file system; EAGAIN when that does not do.
[[nodiscard]] base::UniqueFd find_in_root(int root, const std::string& path, int& error, bool cached_only = false);

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

  /// Forks it. It gives up all capabilities but those for opening, and every inherited descriptor. `guard`: where it
  /// tells what it waits for.
  Result<void> start(HangGuard guard = {});
  /// Kills it; the caller reaps `pid`. A child stuck in the kernel goes when the kernel lets it.
  void kill();
  /// The caller reaped it: its number may be anybody's. What it answered before is still there.
  void forget() { pid_ = -1; }
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
