// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/warden/opener.h"

namespace keytrail::warden {
namespace {

using base::UniqueFd;

constexpr std::uint64_t kNsPerTick = 10'000'000;  // USER_HZ is 100 on every architecture that we build for

/// Start of the group leader, in ticks since boot. 0 when the process is gone.
std::uint64_t start_ticks(int process) { return stat_field(stat_text(process).data(), 22); }

/// /proc/PID/status; empty when the process is gone.
std::array<char, 2048> status_text(int process) {
  const UniqueFd fd(openat(process, "status", O_RDONLY | O_CLOEXEC));
  std::array<char, 2048> text{};
  if (fd) (void)!read(fd.get(), text.data(), text.size() - 1);
  return text;
}

/// "Uid:" or "Gid:" of /proc/PID/status; nothing where it is not.
std::optional<std::uint64_t> id_in(const char* text, const char* name, ReadsAs which) {
  const char* at = strstr(text, name);
  for (int field = 0; at != nullptr && field < static_cast<int>(which); ++field)
    at = strchr(at + 1, '\t');
  if (at == nullptr) return std::nullopt;
  return strtoull(at + 1, nullptr, 10);
}

/// Who made the outermost user namespace that a process is in below ours; 0 when root did, or there is none. All the
/// users that a rootless container maps (subuid) are its maker's doing.
uid_t maker_of_namespace(int process) {
  constexpr int kDeepest = 33;  // the kernel nests 32
  UniqueFd space(openat(process, "ns/user", O_RDONLY | O_CLOEXEC));
  uid_t maker = 0;
  for (int depth = 0; space && depth < kDeepest; ++depth) {
    UniqueFd parent(ioctl(space.get(), NS_GET_PARENT));
    if (!parent) break;  // it is ours
    if (ioctl(space.get(), NS_GET_OWNER_UID, &maker) != 0) maker = 0;
    space = std::move(parent);
  }
  return maker;
}

constexpr unsigned kRead = 4, kSearch = 1;

bool lets(const struct stat& file, const Reader& who, unsigned bit) {
  const unsigned shift = file.st_uid == who.uid ? 6U : file.st_gid == who.gid ? 3U : 0U;
  return who.uid == 0 || ((file.st_mode >> shift) & bit) != 0;
}

}  // namespace

std::array<char, 1024> stat_text(int process) {
  const UniqueFd fd(openat(process, "stat", O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> text{};
  if (fd) (void)!read(fd.get(), text.data(), text.size() - 1);
  return text;
}

std::uint64_t stat_field(const char* text, int number) {
  const char* at = strrchr(text, ')');  // the name may hold anything, also ")"
  for (int field = 2; at != nullptr && field < number; ++field)
    at = strchr(at + 1, ' ');
  return at == nullptr ? 0 : strtoull(at + 1, nullptr, 10);
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
  const auto real = id_in(text.data(), "\nUid:", ReadsAs::kReal),
             acts = id_in(text.data(), "\nUid:", ReadsAs::kFileSystem);
  if (!real || !acts) return kGoneUser;
  if (const uid_t maker = maker_of_namespace(process.get()); maker != 0) return maker;
  return static_cast<uid_t>(*real != 0 ? *real : *acts);
}

std::uint32_t mount_namespace(int process) {
  struct stat ns{};
  return fstatat(process, "ns/mnt", &ns, 0) == 0 ? static_cast<std::uint32_t>(ns.st_ino) : 0;
}

std::optional<Reader> reader_of(int process, ReadsAs which) {
  const std::array<char, 2048> text = status_text(process);
  const auto uid = id_in(text.data(), "\nUid:", which), gid = id_in(text.data(), "\nGid:", which);
  if (!uid || !gid) return std::nullopt;
  return Reader{*uid, *gid};
}

bool may_read(const struct stat& file, const Reader& who) { return lets(file, who, kRead); }

UniqueFd find_as(UniqueFd root, std::string path, const Reader& who, int& error,
                 std::span<const std::uint64_t> mounts) {
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

}  // namespace keytrail::warden
