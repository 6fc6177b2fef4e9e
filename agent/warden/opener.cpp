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
#include "keytrail/examiner.h"

namespace keytrail::warden {
namespace {

using base::UniqueFd;
using role::Unread;

constexpr std::size_t kMaxTold = 128U << 10U;  // of arguments or environment
constexpr std::uint64_t kBtrfs = 0x9123683E;
constexpr std::uint64_t kOverlay = 0x794c7630;
constexpr std::array<std::uint64_t, 10> kKnown{
    0xEF53,   0x58465342, kBtrfs,     0x01021994 /* tmpfs */,    0x858458f6 /* ramfs */,
    kOverlay, 0xF2F52010, 0x2FC12FC1, 0x73717368 /* squashfs */, 0xE0F5E1E2 /* erofs */};
#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20  // Linux 5.12; before, EINVAL
#endif
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

Opening refused(Unread why, role::Identity file = {}) {
  Opening out;
  out.unread = why;
  out.file = file;
  return out;
}

/// Opens what was found, if it may be and is what is meant. `root`: of the process through which it was found.
Opening open_found(const UniqueFd& found, const role::Open& request, const HangGuard& guard, int root = -1) {
  struct stat file{};
  struct statfs system{};
  const std::uint64_t mount = mount_of(found.get());
  if (!guard.may_wait_for(mount)) return refused(Unread::kTimeout);
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
  guard.rest();  // the machine's locks are not this mount's
  if (has_write_lease(now)) return refused(Unread::kLeased, now);
  if (!guard.may_wait_for(mount)) return refused(Unread::kTimeout, now);
  Opening out = refused(Unread::kNone, now);
  out.descriptor = reopen(found.get());
  if (!out.descriptor) out.unread = errno == EWOULDBLOCK ? Unread::kLeased : Unread::kRefused;
  out.place = place_of(found.get(), root);
  return out;
}

Unread unread_of(int error) {
  return error == ENOENT || error == ENOTDIR || error == ESRCH ? Unread::kGone
         : error == ETIMEDOUT                                  ? Unread::kTimeout
                                                               : Unread::kRefused;
}

/// As whom a process is let read.
struct Reader {
  std::uint64_t uid, gid;
};

/// /proc/PID/status; empty when the process is gone.
std::array<char, 2048> status_text(int process) {
  const UniqueFd fd(openat(process, "status", O_RDONLY | O_CLOEXEC));
  std::array<char, 2048> text{};
  if (fd) (void)!read(fd.get(), text.data(), text.size() - 1);
  return text;
}

enum Which : int { kReal = 1, kFileSystem = 4 };

/// "Uid:" or "Gid:" of /proc/PID/status; nothing where it is not.
std::optional<std::uint64_t> id_in(const char* text, const char* name, Which which) {
  const char* at = strstr(text, name);
  for (int field = 0; at != nullptr && field < which; ++field)
    at = strchr(at + 1, '\t');
  if (at == nullptr) return std::nullopt;
  return strtoull(at + 1, nullptr, 10);
}

/// Nothing when the process is gone.
std::optional<Reader> reader_of(int process, Which which = kFileSystem) {
  const std::array<char, 2048> text = status_text(process);
  const auto uid = id_in(text.data(), "\nUid:", which), gid = id_in(text.data(), "\nGid:", which);
  if (!uid || !gid) return std::nullopt;
  return Reader{*uid, *gid};
}

/// Who asks for a way that is not in the kernel's memory: one user's file systems that hang are not another's.
std::uint64_t key_of(const role::Open& request) {
  const uid_t user = user_of(request.tgid, request.start_ns);
  const bool many = user == 0 || user == kGoneUser;
  const std::string_view path = request.path.view();
  const std::size_t second = path.find('/', 1);
  const std::string_view folder = path.substr(0, second == path.npos ? second : path.find('/', second + 1));
  return key_of_way(request.mnt_ns, user, many ? std::hash<std::string_view>{}(folder) : 0);
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

/// Who reads what a process has in memory waits for that process's own page faults.
std::uint64_t key_of_process(const role::Open& request) { return key_of_way(request.mnt_ns, request.tgid, 1); }

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

/// By the bits alone: what only a further group allows, or a list, is no.
bool lets(const struct stat& file, const Reader& who, unsigned bit) {
  const unsigned shift = file.st_uid == who.uid ? 6U : file.st_gid == who.gid ? 3U : 0U;
  return who.uid == 0 || ((file.st_mode >> shift) & bit) != 0;
}

/// The file at `path`, gone to step by step as `who` could, also where links lead: whoever names a place must not have
/// looked at through us what he cannot read. O_PATH; empty with `error` where the way ends. `mounts`: nothing of other
/// mounts is asked; empty: of all.
UniqueFd find_as(UniqueFd root, std::string path, const Reader& who, int& error,
                 std::span<const std::uint64_t> mounts = {}) {
  constexpr unsigned kRead = 4, kSearch = 1;
  constexpr int kLinks = 40;  // as the kernel
  constexpr std::size_t kMaxFolders = 256;
  std::vector<UniqueFd> folders;
  folders.push_back(std::move(root));
  error = EACCES;
  for (int links = 0;;) {
    const std::size_t begin = path.find_first_not_of('/');
    if (begin == std::string::npos) break;  // a folder
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    path.erase(0, end);
    struct stat status{};
    if (fstat(folders.back().get(), &status) != 0 || !lets(status, who, kSearch)) break;
    if (part == ".") continue;
    if (part == "..") {
      if (folders.size() > 1) folders.pop_back();
      continue;
    }
    UniqueFd next(openat(folders.back().get(), part.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (next && !mounts.empty() && std::ranges::find(mounts, mount_of(next.get())) == mounts.end()) break;
    if (!next || fstat(next.get(), &status) != 0) {
      error = errno;
      break;
    }
    if (S_ISLNK(status.st_mode)) {
      std::array<char, 4096> target{};
      const ssize_t length = readlinkat(next.get(), "", target.data(), target.size());
      if (length <= 0 || static_cast<std::size_t>(length) == target.size() || ++links > kLinks) break;
      path.insert(0, target.data(), static_cast<std::size_t>(length));
      if (target[0] == '/') folders.resize(1);
    } else if (path.find_first_not_of('/') != std::string::npos) {
      folders.push_back(std::move(next));
      if (folders.size() > kMaxFolders) break;
    } else {
      if (!lets(status, who, kRead)) break;
      error = 0;
      return next;
    }
  }
  return {};
}

/// A place that only a file tells of: the process that read that file opens this one, if it can.
Opening open_told(const role::Open& request, const HangGuard& guard) {
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

/// The warden, what it started, and what those started: they were given names by us, or by whoever took the worker
/// over.
bool is_agents(int process, std::uint32_t pid) {
  constexpr int kMostAncestors = 64;
  std::array<char, 4096> own{}, theirs{};
  const ssize_t length = readlink("/proc/self/exe", own.data(), own.size());
  if (length > 0 && readlinkat(process, "exe", theirs.data(), theirs.size()) == length && own == theirs) return true;
  const auto warden = static_cast<std::uint64_t>(getppid());
  std::uint64_t parent = stat_field(stat_text(process).data(), 4);
  if (pid == warden) return true;
  for (int i = 0; i < kMostAncestors && parent > 1; ++i) {
    if (parent == warden) return true;
    const UniqueFd next = open_process(static_cast<std::uint32_t>(parent));
    if (!next) return false;
    parent = stat_field(stat_text(next.get()).data(), 4);
  }
  return false;
}

/// What the kernel knows of it without asking a file system.
bool is_same(int one, int other) {
  struct statx first{}, second{};
  constexpr int kFlags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  return statx(one, "", kFlags, STATX_INO, &first) == 0 && statx(other, "", kFlags, STATX_INO, &second) == 0 &&
         first.stx_ino == second.stx_ino && first.stx_dev_major == second.stx_dev_major &&
         first.stx_dev_minor == second.stx_dev_minor;
}

/// By the bits of the file and of the folders above it, and only below the process's own root: root of a container
/// cannot read what another process's root led to.
bool can_read(int process, const Reader& who, const role::Open& request, int opened, const HangGuard& guard) {
  struct stat file{};
  if (!guard.may_wait_for(key_of(request)) || fstat(opened, &file) != 0 || !lets(file, who, 4)) return false;
  UniqueFd root(openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  int error = 0;
  const UniqueFd found = root ? find_as(std::move(root), std::string(request.path.view()), who, error) : UniqueFd();
  const bool same = found && is_same(found.get(), opened);
  guard.answered();
  return same;
}

/// The program was told to read it: by its arguments or the environment that it began with, and it can, as itself and
/// as whoever started it (of a program that is set-user-ID that one chose the arguments).
bool is_named(const role::Open& request, const Opening& opening, const HangGuard& guard) {
  guard.answered();
  const UniqueFd process = open_named(request.tgid, request.start_ns);
  if (!process || is_agents(process.get(), request.tgid)) return false;
  std::optional<Reader> reader;
  for (const Which which : {kReal, kFileSystem}) {
    reader = reader_of(process.get(), which);
    if (!reader || !can_read(process.get(), *reader, request, opening.descriptor.get(), guard)) return false;
  }
  const UniqueFd root(openat(process.get(), "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::array<char, 4096> link{};
  const ssize_t size = readlinkat(process.get(), "cwd", link.data(), link.size());
  const std::string standing(link.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  if (!root || !guard.may_wait_for(key_of_process(request))) return false;
  const std::string_view path = request.path.view();
  const std::array<std::uint64_t, 2> answered{mount_of(root.get()), mount_of(opening.descriptor.get())};
  const auto is_meant = [&](std::string_view word) {
    if (means_file(word, path, standing) || means_file(word, opening.place, standing)) return true;
    if (!word.starts_with('/') && standing.empty()) return false;
    const std::string whole = word.starts_with('/') ? std::string(word) : standing + "/" + std::string(word);
    // Through links: of what the kernel has in memory, and of mounts that answered, so that no word makes anybody wait.
    int error = 0;
    UniqueFd found = find_in_root(root.get(), whole, error, true);
    if (!found && guard.may_wait_for(key_of(request)))
      found = find_as(UniqueFd(fcntl(root.get(), F_DUPFD_CLOEXEC, 0)), whole, *reader, error, answered);
    return found && is_same(found.get(), opening.descriptor.get());
  };
  static std::array<char, kMaxTold> text;
  bool found = false;
  for (const char* source : {"cmdline", "environ"}) {
    if (found) break;
    const UniqueFd fd(openat(process.get(), source, O_RDONLY | O_CLOEXEC));
    std::size_t length = 0;
    for (ssize_t n = 0;
         fd && length < text.size() && (n = read(fd.get(), text.data() + length, text.size() - length)) > 0;)
      length += static_cast<std::size_t>(n);
    found = names_file({text.data(), length}, path.substr(path.rfind('/') + 1), is_meant);
    explicit_bzero(text.data(), length);
  }
  guard.answered();
  return found;
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
  if ((request.flags & role::kOpenTold) != 0) return open_told(request, guard);
  Opening best = refused(Unread::kGone);
  const auto attempt_below = [&](int root) {
    if (root < 0 || best.unread == Unread::kNone) return;
    Opening now = open_below(root, request, guard);
    if (better(now.unread, best.unread)) best = std::move(now);
  };
  const auto attempt = [&](const UniqueFd& process) {
    if (!process || best.unread == Unread::kNone) return;
    attempt_below(UniqueFd(openat(process.get(), "root", O_PATH | O_DIRECTORY | O_CLOEXEC)).get());
  };
  attempt(open_named(request.tgid, request.start_ns));
  for (std::uint32_t i = 0; i < request.alternatives_count; ++i)
    attempt(open_alternative(request.alternatives[i], request.mnt_ns));
  attempt(open_alternative(static_cast<std::uint32_t>(getpid()), request.mnt_ns));
  attempt_below(kept_root);
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
  if (out.descriptor && request.hints.format.view() != kContentFormat) out.named = is_named(request, out, guard);
  return out;
}

/// Arguments are no file: the warden itself takes them from the kernel side (Server::hand_over_arguments).
Opening open_nothing(const role::Open& /*request*/, int /*kept_root*/, const HangGuard& /*guard*/) {
  return refused(Unread::kRefused);
}

/// How each kind of question is opened, in the order of role::Asks.
using Way = Opening (*)(const role::Open& request, int kept_root, const HangGuard& guard);
constexpr std::array<Way, role::kAsks> kWays{open_file, open_environment, open_nothing};

}  // namespace

std::uint64_t stat_field(const char* text, int number) {
  const char* at = strrchr(text, ')');  // the name may hold anything, also ")"
  for (int field = 2; at != nullptr && field < number; ++field)
    at = strchr(at + 1, ' ');
  return at == nullptr ? 0 : strtoull(at + 1, nullptr, 10);
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

UniqueFd open_process(std::uint32_t pid) {
  std::array<char, 32> path{};
  snprintf(path.data(), path.size(), "/proc/%u", pid);
  return UniqueFd(open(path.data(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

UniqueFd open_named(std::uint32_t pid, std::uint64_t start_ns) {
  UniqueFd process = open_process(pid);
  if (!process) return {};
  const std::uint64_t ticks = start_ticks(process.get());
  if (ticks == 0 || (start_ns != 0 && ticks != start_ns / kNsPerTick)) return {};
  return process;
}

uid_t user_of(std::uint32_t pid, std::uint64_t start_ns) {
  const UniqueFd process = open_named(pid, start_ns);
  if (!process) return kGoneUser;
  const std::array<char, 2048> text = status_text(process.get());
  const auto real = id_in(text.data(), "\nUid:", kReal), acts = id_in(text.data(), "\nUid:", kFileSystem);
  if (!real || !acts) return kGoneUser;
  return static_cast<uid_t>(*real != 0 ? *real : *acts);
}

std::uint32_t mount_namespace(int process) {
  struct stat ns{};
  return fstatat(process, "ns/mnt", &ns, 0) == 0 ? static_cast<std::uint32_t>(ns.st_ino) : 0;
}

Opening open_requested(const role::Open& request, int kept_root, HangGuard guard) {
  return kWays[request.hints.asks](request, kept_root, guard);
}

}  // namespace keytrail::warden
