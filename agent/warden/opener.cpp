// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

namespace keytrail::warden {
namespace {

using base::UniqueFd;
using role::Unread;

constexpr std::uint64_t kBtrfs = 0x9123683E;
constexpr std::uint64_t kOverlay = 0x794c7630;
constexpr std::array<std::uint64_t, 10> kKnown{
    0xEF53,   0x58465342, kBtrfs,     0x01021994 /* tmpfs */,    0x858458f6 /* ramfs */,
    kOverlay, 0xF2F52010, 0x2FC12FC1, 0x73717368 /* squashfs */, 0xE0F5E1E2 /* erofs */};
constexpr std::uint64_t kNsPerTick = 10'000'000;  // USER_HZ is 100 on every architecture that we build for

/// /proc/PID/stat; empty when the process is gone.
std::array<char, 1024> stat_text(int process) {
  const UniqueFd fd(openat(process, "stat", O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> text{};
  if (fd) (void)!read(fd.get(), text.data(), text.size() - 1);
  return text;
}

/// Start of the group leader, in ticks since boot. 0 when the process is gone.
std::uint64_t start_ticks(int process) { return stat_field(stat_text(process).data(), 22); }

/// Bytes of the initial environment. 0 also when they may not be seen.
std::uint64_t environment_bytes(int process) {
  const std::array<char, 1024> text = stat_text(process);
  const std::uint64_t begin = stat_field(text.data(), 50);
  const std::uint64_t end = stat_field(text.data(), 51);
  return end > begin ? end - begin : 0;
}

std::uint64_t mount_namespace(int process) {
  struct stat ns{};
  return fstatat(process, "ns/mnt", &ns, 0) == 0 ? ns.st_ino : 0;
}

/// /proc/PID, which stays with this process even when the number is used again; empty when it is not the one that is
/// meant.
UniqueFd open_process(std::uint32_t pid) {
  std::array<char, 32> path{};
  snprintf(path.data(), path.size(), "/proc/%u", pid);
  return UniqueFd(open(path.data(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

UniqueFd open_named(const role::Open& request) {
  UniqueFd process = open_process(request.tgid);
  if (!process) return {};
  const std::uint64_t ticks = start_ticks(process.get());
  if (ticks == 0 || (request.start_ns != 0 && ticks != request.start_ns / kNsPerTick)) return {};
  return process;
}

UniqueFd open_alternative(std::uint32_t pid, std::uint32_t mnt_ns) {
  UniqueFd process = open_process(pid);
  if (!process || mnt_ns == 0 || mount_namespace(process.get()) != mnt_ns) return {};
  return process;
}

/// The file as an O_PATH descriptor: nothing is opened yet, no device woken, no FIFO waited for.
UniqueFd find_in_root(int process, const std::string& path, int& error) {
  const UniqueFd root(openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  long fd = -1;
  for (int attempt = 0; root && attempt < 3; ++attempt) {
    fd = syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof(how));
    if (fd >= 0 || errno != EAGAIN) break;  // EAGAIN: a rename somewhere in between; openat2(2) says to try again
  }
  error = fd < 0 ? errno : 0;
  return UniqueFd(static_cast<int>(fd));
}

UniqueFd reopen(int path_only) {
  std::array<char, 40> path{};
  snprintf(path.data(), path.size(), "/proc/self/fd/%d", path_only);
  constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  UniqueFd fd(open(path.data(), kFlags | O_NOATIME));
  if (!fd && errno == EPERM)
    fd.reset(open(path.data(), kFlags));  // not the owner, no CAP_FOWNER: the access time moves
  return fd;
}

Opening refused(Unread why, role::Identity file = {}) {
  Opening out;
  out.unread = why;
  out.file = file;
  return out;
}

Opening open_through(int process, const role::Open& request) {
  int error = 0;
  const std::string path(request.path.view());
  const UniqueFd found = find_in_root(process, path, error);
  if (!found) return refused(error == ENOENT || error == ENOTDIR || error == ESRCH ? Unread::kGone : Unread::kRefused);
  struct stat file{};
  struct statfs system{};
  if (fstat(found.get(), &file) != 0 || !S_ISREG(file.st_mode)) return refused(Unread::kRefused);
  if (fstatfs(found.get(), &system) != 0 || !is_known_filesystem(static_cast<std::uint64_t>(system.f_type)))
    return refused(Unread::kRefused);
  const role::Identity now = identity_of(file, static_cast<std::uint64_t>(system.f_type));
  const bool look = (request.flags & role::kOpenLook) != 0;
  const bool same = same_file(request.file, now);
  if (look && same && request.file.inode != 0) {
    Opening out = refused(Unread::kNone, now);
    out.unchanged = true;
    return out;
  }
  if (!look && !same) return refused(Unread::kChanged, now);
  if (now.size > role::kMaxFileBytes && (request.flags & role::kOpenAnySize) == 0)
    return refused(Unread::kTooLarge, now);
  Opening out = refused(Unread::kNone, now);
  out.descriptor = reopen(found.get());
  if (!out.descriptor) out.unread = Unread::kRefused;
  return out;
}

Opening open_environment(const role::Open& request) {
  const UniqueFd process = open_named(request);
  if (!process) return refused(Unread::kGone);
  Opening out = refused(Unread::kNone);
  out.descriptor.reset(openat(process.get(), "environ", O_RDONLY | O_CLOEXEC));
  if (!out.descriptor) out.unread = errno == ESRCH || errno == ENOENT ? Unread::kGone : Unread::kRefused;
  // A process that ends reads as empty: the examiner tells the two apart by this.
  out.file.size = environment_bytes(process.get());
  return out;
}

bool better(Unread now, Unread before) {
  const auto rank = [](Unread value) {
    return value == Unread::kNone       ? 0
           : value == Unread::kTooLarge ? 1
           : value == Unread::kChanged  ? 2
           : value == Unread::kRefused  ? 3
                                        : 4;
  };
  return rank(now) < rank(before);
}

Opening open_file(const role::Open& request) {
  Opening best = refused(Unread::kGone);
  const auto attempt = [&](const UniqueFd& process) {
    if (!process || best.unread == Unread::kNone) return;
    Opening now = open_through(process.get(), request);
    if (better(now.unread, best.unread)) best = std::move(now);
  };
  attempt(open_named(request));
  for (std::uint32_t i = 0; i < request.alternatives_count; ++i)
    attempt(open_alternative(request.alternatives[i], request.mnt_ns));
  attempt(open_alternative(static_cast<std::uint32_t>(getpid()), request.mnt_ns));
  return best;
}

/// How each kind of question is opened, in the order of role::Asks.
constexpr std::array<Opening (*)(const role::Open&), role::kAsks> kWays{open_file, open_environment};

}  // namespace

std::uint64_t stat_field(const char* text, int number) {
  const char* at = strrchr(text, ')');  // the name may hold anything, also ")"
  for (int field = 2; at != nullptr && field < number; ++field)
    at = strchr(at + 1, ' ');
  return at == nullptr ? 0 : strtoull(at + 1, nullptr, 10);
}

bool is_known_filesystem(std::uint64_t magic) { return std::ranges::find(kKnown, magic) != kKnown.end(); }

bool same_file(const role::Identity& seen, const role::Identity& now) {
  if (seen.inode == 0) return true;
  const bool odd_device =
      now.fs_magic == kOverlay || now.fs_magic == kBtrfs || seen.fs_magic == kOverlay || seen.dev == 0;
  return seen.inode == now.inode && seen.size == now.size && seen.ctime_s == now.ctime_s &&
         seen.ctime_ns == now.ctime_ns && (odd_device || seen.dev == now.dev);
}

role::Identity identity_of(const struct stat& file, std::uint64_t magic) {
  return {.inode = file.st_ino,
          .fs_magic = magic,
          .ctime_s = file.st_ctim.tv_sec,
          .size = static_cast<std::uint64_t>(file.st_size),
          .ctime_ns = static_cast<std::uint32_t>(file.st_ctim.tv_nsec),
          .dev = (major(file.st_dev) << 20U) | minor(file.st_dev)};
}

Opening open_requested(const role::Open& request) { return kWays[request.hints.asks](request); }

}  // namespace keytrail::warden
