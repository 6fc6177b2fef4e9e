// SPDX-License-Identifier: Apache-2.0
#include "agent/record/history_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

namespace keytrail::record {
namespace {

std::string reason() { return std::strerror(errno); }

Result<void> check_directory(const std::string& directory) {
  struct stat st{};
  if (stat(directory.c_str(), &st) != 0)
    return fail(Error::Code::kNotFound, fmt::format("the history's directory {}: {}", directory, reason()));
  if (!S_ISDIR(st.st_mode)) return fail(Error::Code::kInvalid, fmt::format("{} is no directory", directory));
  const unsigned mode = st.st_mode & 07777U;
  if (st.st_uid != geteuid() && st.st_uid != 0) {
    return fail(
        Error::Code::kRefused,
        fmt::format("the history's directory {} belongs to user {}, not to root or user {} that runs this: chown it",
                    directory, st.st_uid, geteuid()));
  }
  // A group may get in (its members cannot read our files) but must not be able to put other files in their place.
  const bool replaceable = (mode & 020U) != 0 && (mode & S_ISVTX) == 0;
  if ((mode & 07U) != 0 || replaceable) {
    return fail(
        Error::Code::kRefused,
        fmt::format("others can get into the history's directory {} (mode {:04o}): chmod 0700 it, or 1770 to share it "
                    "with its group",
                    directory, mode));
  }
  return {};
}

/// Opens or creates with 0600 and refuses what is not our own regular file. The descriptor must be closed before SQLite
/// opens the file.
Result<base::UniqueFd> open_own(const std::string& path) {
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600));
  if (!fd) {
    if (errno == ELOOP)
      return fail(Error::Code::kRefused,
                  fmt::format("{} is a symbolic link: the history must be a regular file", path));
    return fail(Error::Code::kUnavailable, fmt::format("{} cannot be opened: {}", path, reason()));
  }
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return fail(Error::Code::kSystem, fmt::format("fstat {}: {}", path, reason()));
  if (!S_ISREG(st.st_mode)) return fail(Error::Code::kRefused, fmt::format("{} is not a regular file", path));
  if (st.st_uid != geteuid())
    return fail(Error::Code::kRefused,
                fmt::format("{} belongs to user {}, not to user {} that runs this", path, st.st_uid, geteuid()));
  if (st.st_nlink != 1)
    return fail(Error::Code::kRefused,
                fmt::format("{} has {} names (hard links): remove the others", path, st.st_nlink));
  if ((st.st_mode & 077U) != 0)
    return fail(Error::Code::kRefused,
                fmt::format("others can read {} (mode {:04o}): chmod 0600 it", path, st.st_mode & 07777U));
  return fd;
}

}  // namespace

Result<HistoryFile> HistoryFile::open(const std::string& path) {
  const std::filesystem::path given(path);
  if (given.filename().empty()) return fail(Error::Code::kInvalid, "the history's path names no file");
  const std::string directory = given.has_parent_path() ? given.parent_path().string() : ".";
  if (auto r = check_directory(directory); !r) return std::unexpected(r.error());
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(directory.c_str(), nullptr), &std::free);
  if (!real) return fail(Error::Code::kSystem, fmt::format("realpath {}: {}", directory, reason()));
  HistoryFile out;
  out.path_ = std::string(real.get()) + "/" + given.filename().string();
  auto lock = open_own(out.path_ + ".lock");
  if (!lock) return std::unexpected(lock.error());
  if (flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(Error::Code::kUnavailable,
                fmt::format("another process has the history {} open: one agent per history", out.path_));
  }
  out.lock_ = std::move(*lock);
  // The log's files are made here too: SQLite would take those that somebody else in the group has put there.
  for (const char* suffix : {"", "-wal", "-shm"}) {
    if (auto file = open_own(out.path_ + suffix); !file) return std::unexpected(file.error());
  }
  return out;
}

std::uint64_t HistoryFile::log_bytes() const {
  struct stat st{};
  return stat((path_ + "-wal").c_str(), &st) == 0 ? static_cast<std::uint64_t>(st.st_size) : 0;
}

std::uint64_t HistoryFile::free_bytes() const {
  struct statvfs st{};
  return statvfs(path_.c_str(), &st) == 0 ? std::uint64_t{st.f_bavail} * st.f_frsize : 0;
}

bool HistoryFile::make_reserve(std::uint64_t bytes) const {
  if (bytes == 0) return true;
  const std::string name = path_ + kReserveSuffix;
  struct stat st{};
  if (lstat(name.c_str(), &st) == 0 && S_ISREG(st.st_mode) && static_cast<std::uint64_t>(st.st_size) == bytes)
    return true;
  if (free_bytes() < bytes * 3) return false;
  unlink(name.c_str());
  base::UniqueFd fd(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return errno != ENOSPC && errno != EDQUOT;
  const int error = posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes));
  if (error == 0) return true;
  unlink(name.c_str());
  return error != ENOSPC && error != EDQUOT;
}

bool HistoryFile::drop_reserve() const { return unlink((path_ + kReserveSuffix).c_str()) == 0; }

}  // namespace keytrail::record
