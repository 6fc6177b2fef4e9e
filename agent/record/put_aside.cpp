// SPDX-License-Identifier: Apache-2.0
#include "agent/record/put_aside.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>

#include "agent/base/fd.h"
#include "agent/record/history_file.h"
#include "agent/record/options.h"

namespace keytrail::record {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = ".damaged";
constexpr std::string_view kAside = ".damaged-";
constexpr std::string_view kLogs[] = {"-wal", "-shm"};

std::string time_words(std::int64_t now_ns) {
  const std::time_t seconds = now_ns / kSecond;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &utc)};
}

std::int64_t written_ns(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0 || status.st_size == 0) return 0;
  return std::int64_t{status.st_mtim.tv_sec} * kSecond + status.st_mtim.tv_nsec;
}

/// A name that is free, so that nothing is written over.
std::string free_name(const std::string& path, std::int64_t now_ns) {
  std::error_code error;
  std::string name = fmt::format("{}{}{}", path, kAside, time_words(now_ns));
  for (; fs::exists(fs::symlink_status(name, error)); now_ns += kSecond)
    name = fmt::format("{}{}{}", path, kAside, time_words(now_ns + kSecond));
  return name;
}

}  // namespace

void mark_damaged(const std::string& path) {
  const std::string mark = fmt::format("{}{}", path, kMark);
  const base::UniqueFd file(::open(mark.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
}

bool is_marked_damaged(const std::string& path) {
  struct stat status{};
  return lstat(fmt::format("{}{}", path, kMark).c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         status.st_uid == geteuid();
}

bool is_emptied(const std::string& path) {
  struct stat history{}, reserve{};
  return lstat(path.c_str(), &history) == 0 && S_ISREG(history.st_mode) && history.st_size == 0 &&
         lstat((path + kReserveSuffix).c_str(), &reserve) == 0;
}

Result<PutAside> put_aside(const std::string& path, std::int64_t now_ns) {
  auto file = HistoryFile::open(path);  // nobody else has it
  if (!file) return std::unexpected(file.error());
  PutAside out{.name = free_name(file->path(), now_ns), .written_ns = written_ns(file->path())};
  // The log first: a new history must not find that of the old one, wherever this is interrupted.
  for (const std::string_view log : kLogs) {
    const std::string from = fmt::format("{}{}", file->path(), log);
    out.written_ns = std::max(out.written_ns, log == "-wal" ? written_ns(from) : 0);
    if (std::rename(from.c_str(), fmt::format("{}{}", out.name, log).c_str()) != 0 && errno != ENOENT)
      return fail(Error::Code::kSystem, fmt::format("{} could not be renamed: {}", from, std::strerror(errno)));
  }
  if (std::rename(file->path().c_str(), out.name.c_str()) != 0)
    return fail(Error::Code::kSystem, fmt::format("{} could not be renamed: {}", file->path(), std::strerror(errno)));
  unlink(fmt::format("{}{}", file->path(), kMark).c_str());
  std::vector<std::string> all = all_put_aside(file->path());
  for (std::size_t i = 0; i + kMostPutAside < all.size(); ++i) {
    for (const std::string_view part : {std::string_view(), kLogs[0], kLogs[1]})
      unlink(fmt::format("{}{}", all[i], part).c_str());
  }
  return out;
}

std::vector<std::string> all_put_aside(const std::string& path) {
  const fs::path history(path);
  const std::string begins = fmt::format("{}{}", history.filename().string(), kAside);
  const fs::path directory = history.has_parent_path() ? history.parent_path() : fs::path(".");
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with(begins) && name.ends_with('Z')) out.push_back((directory / name).string());
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace keytrail::record
