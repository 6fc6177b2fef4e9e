// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/held_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace keytrail::warden {
namespace {

using base::UniqueFd;

constexpr int kMaxDescriptors = 256;
constexpr std::size_t kMaxFolders = 16;
constexpr int kMaxParts = 16;
constexpr std::uint64_t kBtrfs = 0x9123683E;
constexpr std::uint64_t kOverlay = 0x794c7630;

/// What the kernel knows of it without asking a file system that may never answer; false when there is nothing.
bool look_at(int fd, struct statx& out) {
  return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_MNT_ID, &out) == 0;
}

std::uint32_t device_of(const struct statx& file) { return (file.stx_dev_major << 20U) | file.stx_dev_minor; }

/// A number of /proc/PID/fdinfo/FD; nothing where the kernel does not tell it. `name`: with the line's end before it.
std::optional<std::uint64_t> told_number(const char* text, const char* name, int base) {
  const char* const at = strstr(text, name);
  if (at == nullptr) return std::nullopt;
  return strtoull(at + strlen(name), nullptr, base);
}

/// Whoever has it has opened it for reading, so he was let: O_PATH is had of any file that a path leads to. That the
/// descriptor was not made to mean another file in between is seen by its mount and inode.
bool is_open_for_reading(int process, const char* descriptor, const struct statx& file, bool overlay) {
  const UniqueFd info(openat(process, (std::string("fdinfo/") + descriptor).c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 512> text{};
  text[0] = '\n';
  if (!info || read(info.get(), text.data() + 1, text.size() - 2) <= 0) return false;
  const std::optional<std::uint64_t> flags = told_number(text.data(), "\nflags:", 8);
  const std::optional<std::uint64_t> mount = told_number(text.data(), "\nmnt_id:", 10);
  const std::optional<std::uint64_t> inode = told_number(text.data(), "\nino:", 10);  // Linux 5.14
  if (!flags || (*flags & static_cast<std::uint64_t>(O_PATH)) != 0 ||
      (*flags & static_cast<std::uint64_t>(O_ACCMODE)) == static_cast<std::uint64_t>(O_WRONLY))
    return false;
  if (mount && (file.stx_mask & STATX_MNT_ID) != 0 && *mount != file.stx_mnt_id) return false;
  return overlay || !inode || *inode == file.stx_ino;
}

UniqueFd find_below(const UniqueFd& folder, std::string_view path, std::uint64_t inode) {
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  for (int part = 0; part < kMaxParts && !path.empty(); ++part) {
    const std::size_t name = path.find_first_not_of('/');
    if (name == path.npos) break;
    path.remove_prefix(name);
    UniqueFd found(static_cast<int>(syscall(SYS_openat2, folder.get(), std::string(path).c_str(), &how, sizeof(how))));
    struct statx file{};
    if (found && look_at(found.get(), file) && file.stx_ino == inode) return found;
    path.remove_prefix(std::min(path.find('/'), path.size()));
  }
  return {};
}

}  // namespace

UniqueFd find_held(const UniqueFd& process, const role::Identity& file, std::string_view path) {
  if (!process || file.inode == 0) return {};
  const bool overlay = file.fs_magic == kOverlay;
  const bool odd_device = overlay || file.fs_magic == kBtrfs || file.dev == 0;  // stat shows another than the kernel
  std::vector<UniqueFd> folders;
  // The file itself, or a folder of its device that is kept for later: also an O_PATH one, as open_tree gives it.
  const auto is_it = [&](UniqueFd& held, const char* descriptor) {
    struct statx status{};
    if (!held || !look_at(held.get(), status)) return false;
    if (S_ISREG(status.stx_mode))
      return status.stx_ino == file.inode && (odd_device || device_of(status) == file.dev) && descriptor != nullptr &&
             is_open_for_reading(process.get(), descriptor, status, overlay);
    if (S_ISDIR(status.stx_mode) && device_of(status) == file.dev && folders.size() < kMaxFolders)
      folders.push_back(std::move(held));
    return false;
  };
  UniqueFd list(openat(process.get(), "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const int folder_of_all = list.get();
  if (folder_of_all < 0) return {};  // it has ended
  const std::unique_ptr<DIR, int (*)(DIR*)> open_ones(fdopendir(folder_of_all), closedir);
  if (!open_ones) return {};
  (void)list.release();
  for (int i = 0; i < kMaxDescriptors; ++i) {
    const dirent* const entry = readdir(open_ones.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] == '.') continue;
    UniqueFd held(openat(folder_of_all, entry->d_name, O_PATH | O_CLOEXEC));
    if (is_it(held, entry->d_name)) return held;
  }
  for (const char* const own : {"cwd", "root"}) {
    UniqueFd held(openat(process.get(), own, O_PATH | O_CLOEXEC));
    if (is_it(held, nullptr)) return held;
  }
  for (const UniqueFd& folder : folders) {
    if (UniqueFd found = find_below(folder, path, file.inode)) return found;
  }
  return {};
}

}  // namespace keytrail::warden
