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
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "agent/warden/held_files.h"
#include "agent/warden/process.h"
#include "agent/warden/runtime_files.h"
#include "agent/warden/told.h"
#include "keytrail/examiner.h"

namespace keytrail::warden {
namespace {

using base::UniqueFd;
using role::Unread;

constexpr std::uint64_t kBtrfs = 0x9123683E;
constexpr std::uint64_t kOverlay = 0x794c7630;
constexpr std::array<std::uint64_t, 10> kKnown{
    0xEF53,   0x58465342, kBtrfs,     0x01021994 /* tmpfs */,    0x858458f6 /* ramfs */,
    kOverlay, 0xF2F52010, 0x2FC12FC1, 0x73717368 /* squashfs */, 0xE0F5E1E2 /* erofs */};
#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20  // Linux 5.12; before, EINVAL
#endif
/// Bytes of the initial environment. 0 also when they may not be seen.
std::uint64_t environment_bytes(int process) {
  const std::array<char, 1024> text = stat_text(process);
  const std::uint64_t begin = stat_field(text.data(), 50);
  const std::uint64_t end = stat_field(text.data(), 51);
  return end > begin ? end - begin : 0;
}

UniqueFd open_alternative(std::uint32_t pid, std::uint32_t mnt_ns) {
  UniqueFd process = open_process(pid);
  if (!process || mnt_ns == 0 || mount_namespace(process.get()) != mnt_ns) return {};
  return process;
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

Opening refused(Unread why) {
  Opening out;
  out.unread = why;
  return out;
}

Unread unread_of(int error) {
  return error == ENOENT || error == ENOTDIR || error == ESRCH ? Unread::kGone
         : error == ETIMEDOUT                                  ? Unread::kTimeout
                                                               : Unread::kRefused;
}

Opening open_below(int root, const role::Open& request, const HangGuard& guard) {
  const std::string path(request.path.view());
  int error = 0;
  UniqueFd found = find_in_root(root, path, error, true);
  if (!found && error != ENOENT && error != ENOTDIR) {
    const std::uint64_t way = key_of(request);
    if (!guard.may_wait_for(way)) return refused(Unread::kTimeout);
    found = find_in_root(root, path, error);
    guard.answered();
  }
  return found ? open_found(found, request, guard, root) : refused(unread_of(error));
}

Opening open_environment(const role::Open& request, int /*kept_root*/, const HangGuard& guard) {
  const UniqueFd process = open_named(request.tgid, request.start_ns);
  if (!process) return refused(Unread::kGone);
  if (!guard.may_wait_for(key_of_process(request))) return refused(Unread::kTimeout);
  Opening out = refused(Unread::kNone);
  out.descriptor.reset(openat(process.get(), "environ", O_RDONLY | O_CLOEXEC));
  if (!out.descriptor) out.unread = errno == ESRCH || errno == ENOENT ? Unread::kGone : Unread::kRefused;
  // A process that ends reads as empty: the examiner tells the two apart by this.
  out.file.size = environment_bytes(process.get());
  return out;
}

Opening find_file(const role::Open& request, int kept_root, const HangGuard& guard);

/// Whether the file that is said to tell of the place does so; it is still what the process read.
bool does_tell(const role::Open& request, int kept_root, const HangGuard& guard) {
  role::Open teller = request;
  teller.flags = 0;
  teller.path = request.teller;
  const Opening opening = find_file(teller, kept_root, guard);
  if (!opening.descriptor) return false;
  std::vector<char> text(opening.file.size);
  std::size_t length = 0;
  for (ssize_t n = 0;
       length < text.size() && (n = read(opening.descriptor.get(), text.data() + length, text.size() - length)) > 0;)
    length += static_cast<std::size_t>(n);
  const bool tells = tells_of_place({text.data(), length}, request.teller.view(), request.path.view());
  explicit_bzero(text.data(), text.size());
  return tells;
}

/// By the bits alone: what only a further group allows, or a list, is no.
/// A place that only a file tells of: the process that read that file opens this one, if it can.
Opening open_told(const role::Open& asked, int kept_root, const HangGuard& guard) {
  if (!does_tell(asked, kept_root, guard)) return refused(Unread::kGone);
  role::Open request = asked;
  request.file = {};  // of the one that tells
  const UniqueFd process = open_named(request.tgid, request.start_ns);
  const std::optional<Reader> reader = process ? reader_of(process.get()) : std::nullopt;
  if (!reader) return refused(Unread::kGone);
  UniqueFd root(openat(process.get(), "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return refused(Unread::kGone);
  const std::uint64_t way = key_of(request);
  if (!guard.may_wait_for(way)) return refused(Unread::kTimeout);
  int error = 0;
  const UniqueFd base(fcntl(root.get(), F_DUPFD_CLOEXEC, 0));
  const UniqueFd found = find_as(std::move(root), std::string(request.path.view()), *reader, error);
  guard.answered();
  return found ? open_found(found, request, guard, base.get()) : refused(unread_of(error));
}

bool better(Unread now, Unread before) {
  const auto rank = [](Unread value) {
    return value == Unread::kNone       ? 0
           : value == Unread::kTooLarge ? 1
           : value == Unread::kLeased   ? 1
           : value == Unread::kChanged  ? 2
           : value == Unread::kTimeout  ? 3
           : value == Unread::kRefused  ? 4
                                        : 5;
  };
  return rank(now) < rank(before);
}

Opening find_file(const role::Open& request, int kept_root, const HangGuard& guard) {
  if ((request.flags & role::kOpenTold) != 0) return open_told(request, kept_root, guard);
  Opening best = refused(Unread::kGone);
  const auto attempt_below = [&](int root, std::uint32_t mnt_ns) {
    if (root < 0 || best.unread == Unread::kNone) return;
    Opening now = open_below(root, request, guard);
    if (place_of(root, -1) == "/") now.mnt_ns = mnt_ns;  // else its paths are not the namespace's
    if (better(now.unread, best.unread)) best = std::move(now);
  };
  const auto attempt = [&](const UniqueFd& process) {
    if (!process || best.unread == Unread::kNone) return;
    attempt_below(UniqueFd(openat(process.get(), "root", O_PATH | O_DIRECTORY | O_CLOEXEC)).get(),
                  mount_namespace(process.get()));
  };
  attempt(open_named(request.tgid, request.start_ns));
  for (std::uint32_t i = 0; i < request.alternatives_count; ++i)
    attempt(open_alternative(request.alternatives[i], request.mnt_ns));
  attempt(open_alternative(static_cast<std::uint32_t>(getpid()), request.mnt_ns));
  attempt_below(kept_root, request.mnt_ns);
  const bool look = (request.flags & role::kOpenLook) != 0;  // at a place: what a process holds is none
  if (!look && best.unread != Unread::kNone && best.unread != Unread::kTooLarge) {  // it may have no name any more
    const UniqueFd process = open_named(request.tgid, request.start_ns);
    const UniqueFd held =
        guard.may_wait_for(key_of(request)) ? find_held(process, request.file, request.path.view()) : UniqueFd();
    const UniqueFd root(process ? openat(process.get(), "root", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1);
    Opening now = held ? open_found(held, request, guard, root.get()) : refused(Unread::kGone);
    if (better(now.unread, best.unread)) best = std::move(now);
  }
  return best;
}

Opening open_file(const role::Open& request, int kept_root, const HangGuard& guard) {
  Opening out = find_file(request, kept_root, guard);
  if (out.descriptor && request.hints.format.view() != kContentFormat) out.named = is_told(request, out, guard);
  return out;
}

/// Arguments are no file: the warden itself takes them from the kernel side (Server::hand_over_arguments).
Opening open_nothing(const role::Open& /*request*/, int /*kept_root*/, const HangGuard& /*guard*/) {
  return refused(Unread::kRefused);
}

Opening open_bundle(const role::Open& request, int /*kept_root*/, const HangGuard& guard) {
  return open_runtime_file(request, guard);
}

/// How each kind of question is opened, in the order of role::Asks.
using Way = Opening (*)(const role::Open& request, int kept_root, const HangGuard& guard);
constexpr std::array<Way, role::kAsks> kWays{open_file, open_environment, open_nothing, open_bundle};

}  // namespace

Opening open_found(const UniqueFd& found, const role::Open& request, const HangGuard& guard, int root) {
  struct stat file{};
  struct statfs system{};
  const std::uint64_t mount = mount_of(found.get());
  if (!guard.may_wait_for(mount)) return refused(Unread::kTimeout);
  if (fstat(found.get(), &file) != 0 || fstatfs(found.get(), &system) != 0) return refused(Unread::kRefused);
  Opening out;
  out.file = identity_of(file, static_cast<std::uint64_t>(system.f_type));
  out.owner = file.st_uid;
  out.place = place_of(found.get(), root);
  const auto ends = [&out](Unread why) {
    out.unread = why;
    return std::move(out);
  };
  if (!S_ISREG(file.st_mode) || !is_known_filesystem(out.file.fs_magic)) return ends(Unread::kRefused);
  const bool look = (request.flags & role::kOpenLook) != 0;
  const bool same = same_file(request.file, out.file);
  if (look && same && request.file.inode != 0) {
    out.unchanged = true;
    return ends(Unread::kNone);
  }
  if (!look && !same) return ends(Unread::kChanged);
  if (out.file.size > role::kMaxFileBytes && (request.flags & role::kOpenAnySize) == 0) return ends(Unread::kTooLarge);
  guard.rest();  // the machine's locks are not this mount's
  if (has_write_lease(out.file)) return ends(Unread::kLeased);
  if (!guard.may_wait_for(mount)) return ends(Unread::kTimeout);
  out.descriptor = reopen(found.get());
  return ends(out.descriptor ? Unread::kNone : errno == EWOULDBLOCK ? Unread::kLeased : Unread::kRefused);
}

UniqueFd find_in_root(int root, const std::string& path, int& error, bool cached_only) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (cached_only ? RESOLVE_CACHED : 0U);
  long fd = -1;
  for (int attempt = 0; attempt < 3; ++attempt) {
    fd = syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how));
    if (fd >= 0 || errno != EAGAIN || cached_only)
      break;  // EAGAIN: a rename somewhere in between; openat2(2) says to try again
  }
  error = fd < 0 ? errno : 0;
  return UniqueFd(static_cast<int>(fd));
}

bool is_known_filesystem(std::uint64_t magic) { return std::ranges::find(kKnown, magic) != kKnown.end(); }

bool same_file(const role::Identity& seen, const role::Identity& now) {
  if (seen.inode == 0) return true;
  // An overlay over a user's own FUSE shows what he likes, so what was seen there is nowhere else. The other way round
  // some kernels show the file of a layer, which nobody makes up.
  if (seen.fs_magic != 0 && seen.fs_magic != now.fs_magic && now.fs_magic != kOverlay) return false;
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

std::uint64_t key_of(const role::Open& request) {
  const uid_t user = user_of(request.tgid, request.start_ns);
  const bool many = user == 0 || user == kGoneUser;
  const std::string_view path = request.path.view();
  const std::size_t second = path.find('/', 1);
  const std::string_view folder = path.substr(0, second == path.npos ? second : path.find('/', second + 1));
  return key_of_way(request.mnt_ns, user, many ? std::hash<std::string_view>{}(folder) : 0);
}

std::uint64_t key_of_process(const role::Open& request) { return key_of_way(request.mnt_ns, request.tgid, 1); }

Opening open_requested(const role::Open& request, int kept_root, HangGuard guard) {
  return kWays[request.hints.asks](request, kept_root, guard);
}

}  // namespace keytrail::warden
