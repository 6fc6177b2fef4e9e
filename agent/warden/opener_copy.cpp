// SPDX-License-Identifier: Apache-2.0
// What an opener's child does with a file once it is open, and what it reads beside it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>

#include "agent/warden/opener.h"

namespace keytrail::warden {
namespace {

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3; before, EINVAL
#endif

base::UniqueFd memory() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  base::UniqueFd out(memfd_create("keytrail", kFlags | MFD_NOEXEC_SEAL));
  if (!out && errno == EINVAL) out.reset(memfd_create("keytrail", kFlags));
  return out;
}

/// Up to the bound and one byte more; false on an error of either side.
bool copy(int from, int to, std::uint64_t& bytes) {
  static std::array<char, 64U << 10U> room;
  bool good = true;
  std::size_t used = 0;  // only that is wiped: the rest stays a page that all openers share
  bytes = 0;
  while (good && bytes <= role::kMaxFileBytes) {
    const std::size_t most = std::min<std::size_t>(room.size(), role::kMaxFileBytes + 1 - bytes);
    const ssize_t n = read(from, room.data(), most);
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) used = std::max(used, static_cast<std::size_t>(n));
    good = n >= 0 && write(to, room.data(), static_cast<std::size_t>(n)) == n;
    if (n <= 0) break;
    bytes += static_cast<std::uint64_t>(n);
  }
  explicit_bzero(room.data(), good ? used : room.size());  // a failed read may have left anything
  return good;
}

/// It is what it was before it was read: else what was read may be half of each.
bool is_same(int file, const role::Identity& before, std::uint64_t bytes) {
  struct stat now{};
  return fstat(file, &now) == 0 && now.st_ino == before.inode && bytes == before.size &&
         static_cast<std::uint64_t>(now.st_size) == before.size && now.st_ctim.tv_sec == before.ctime_s &&
         static_cast<std::uint32_t>(now.st_ctim.tv_nsec) == before.ctime_ns;
}

/// How the kernel names what is open, below its mount namespace's root; empty when that is too long.
std::string path_of(int fd) {
  constexpr std::string_view kDeleted = " (deleted)";
  std::array<char, 40> link{};
  std::array<char, 4096> text{};
  snprintf(link.data(), link.size(), "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link.data(), text.data(), text.size());
  if (length <= 0 || text[0] != '/' || static_cast<std::size_t>(length) == text.size()) return {};
  std::string out(text.data(), static_cast<std::size_t>(length));
  if (out.ends_with(kDeleted)) out.resize(out.size() - kDeleted.size());
  return out;
}

bool tells_of_lease(std::string_view line) {
  return line.find(": LEASE ") != line.npos || line.find(": DELEG ") != line.npos;
}

using Clock = std::chrono::steady_clock;

/// The lines of /proc/locks that tell of leases. The kernel gives 4 KiB at a time, whatever is asked for, and walks all
/// that it gave before: whoever holds very many locks makes us see less, not wait longer.
std::string read_leases() {
  constexpr std::size_t kMost = 1U << 20U;
  constexpr std::chrono::milliseconds kPatience{100};  // after the first part, which waits for the kernel's readers
  const base::UniqueFd fd(open("/proc/locks", O_RDONLY | O_CLOEXEC));
  std::string out, text;
  std::array<char, 16384> part;
  Clock::time_point until = Clock::time_point::max();
  for (ssize_t n = 0;
       fd && out.size() < kMost && Clock::now() < until && (n = read(fd.get(), part.data(), part.size())) > 0;) {
    if (until == Clock::time_point::max()) until = Clock::now() + kPatience;
    text.append(part.data(), static_cast<std::size_t>(n));
    for (std::size_t end = 0; (end = text.find('\n')) != text.npos; text.erase(0, end + 1)) {
      if (const std::string_view line(text.data(), end + 1); tells_of_lease(line)) out += line;
    }
  }
  return out;
}

}  // namespace

std::string place_of(int found, int root) {
  std::string path = path_of(found);
  const std::string above = root >= 0 ? path_of(root) : std::string();
  if (above.size() > 1 && path.starts_with(above + "/")) path.erase(0, above.size());
  return path.size() <= role::kMaxPlace ? path : std::string();
}

std::uint64_t mount_of(int fd) {
  static constexpr char kName[] = "mnt_id:";
  std::array<char, 48> name{};
  std::array<char, 256> text{};
  snprintf(name.data(), name.size(), "/proc/self/fdinfo/%d", fd);
  const base::UniqueFd info(open(name.data(), O_RDONLY | O_CLOEXEC));
  if (!info || read(info.get(), text.data(), text.size() - 1) <= 0) return 0;
  const char* const at = strstr(text.data(), kName);
  return at == nullptr ? 0 : key_of_mount(strtoull(at + sizeof(kName) - 1, nullptr, 10));
}

void take_copy(Opening& opening, bool is_file) {
  base::UniqueFd file = std::move(opening.descriptor);
  base::UniqueFd out = memory();
  std::uint64_t bytes = 0;
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  opening.unread = role::Unread::kRefused;
  if (!out || !copy(file.get(), out.get(), bytes) || lseek(out.get(), 0, SEEK_SET) != 0 ||
      fcntl(out.get(), F_ADD_SEALS, kSeals) != 0)
    return;
  opening.unread = is_file && !is_same(file.get(), opening.file, bytes) ? role::Unread::kChanged : role::Unread::kNone;
  if (opening.unread == role::Unread::kNone) opening.descriptor = std::move(out);
}

bool has_write_lease(const role::Identity& file) {
  static std::string leases;
  static Clock::time_point renew;  // at most a tenth of the time is spent on it
  if (const Clock::time_point begun = Clock::now(); begun >= renew) {
    leases = read_leases();
    const Clock::time_point now = Clock::now();
    renew =
        now + std::clamp<Clock::duration>((now - begun) * 10, std::chrono::milliseconds(200), std::chrono::seconds(1));
  }
  return shows_write_lease(leases, file);
}

bool shows_write_lease(std::string_view text, const role::Identity& file) {
  constexpr std::uint64_t kBtrfs = 0x9123683E, kOverlay = 0x794c7630;
  const bool odd_device = file.fs_magic == kBtrfs || file.fs_magic == kOverlay || file.dev == 0;
  std::array<char, 64> name{};
  if (odd_device) {
    snprintf(name.data(), name.size(), ":%llu ", static_cast<unsigned long long>(file.inode));
  } else {
    snprintf(name.data(), name.size(), " %02x:%02x:%llu ", file.dev >> 20U, file.dev & 0xFFFFFU,
             static_cast<unsigned long long>(file.inode));
  }
  // "1: LEASE  ACTIVE    WRITE 812 fd:00:5243 0 EOF"; one that is being broken shows what it becomes: left alone, too.
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!tells_of_lease(line)) continue;
    if (line.find(" WRITE ") == line.npos && line.find(" BREAKING ") == line.npos) continue;
    if (line.find(name.data()) != line.npos) return true;
  }
  return false;
}

}  // namespace keytrail::warden
