// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/told.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "agent/base/told_path.h"
#include "agent/warden/process.h"

namespace keytrail::warden {
namespace {

using base::UniqueFd;

constexpr std::size_t kMaxTold = 128U << 10U;  // of arguments or environment

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
  if (!guard.may_wait_for(key_of(request)) || fstat(opened, &file) != 0 || !may_read(file, who)) return false;
  UniqueFd root(openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  int error = 0;
  const UniqueFd found = root ? find_as(std::move(root), std::string(request.path.view()), who, error) : UniqueFd();
  const bool same = found && is_same(found.get(), opened);
  guard.answered();
  return same;
}

}  // namespace

bool is_told(const role::Open& request, const Opening& opening, const HangGuard& guard) {
  guard.answered();
  const UniqueFd process = open_named(request.tgid, request.start_ns);
  if (!process || is_agents(process.get(), request.tgid)) return false;
  std::optional<Reader> reader;
  for (const ReadsAs which : {ReadsAs::kReal, ReadsAs::kFileSystem}) {
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

bool names_file(std::string_view text, std::string_view base_name,
                const std::function<bool(std::string_view word)>& is_meant) {
  constexpr std::size_t kLongest = 4096;
  constexpr int kMostWords = 64;
  constexpr std::string_view kEnds(":,; \0", 5), kBegins("=@:, \0", 6);
  if (base_name.empty()) return false;
  int words = 0;
  for (std::size_t at = text.find(base_name); at != text.npos; at = text.find(base_name, at + 1)) {
    const std::size_t end = at + base_name.size();
    if (end < text.size() && !kEnds.contains(text[end])) continue;
    if (at > 0 && text[at - 1] != '/' && !kBegins.contains(text[at - 1])) continue;
    for (std::size_t begin = at; end - begin <= kLongest; --begin) {
      if (begin == 0 || kBegins.contains(text[begin - 1])) {
        if (++words > kMostWords) return false;
        const std::string_view word = text.substr(begin, end - begin);
        if (is_meant(word)) return true;
        const std::size_t slash = word.find('/');  // "-K/srv/keys.conf"
        if (word.front() == '-' && slash != word.npos && is_meant(word.substr(slash))) return true;
      }
      if (begin == 0 || text[begin - 1] == '\0') break;
    }
  }
  return false;
}

bool tells_of_place(std::string_view text, std::string_view teller, std::string_view path) {
  constexpr std::size_t kLongest = 1024;
  constexpr int kMostWords = 4096;
  using namespace std::string_view_literals;
  constexpr std::string_view kEnds = " \t\r\n\"'`,;:)]}<>#\0"sv, kBegins = " \t\n\"'`=:,;([{<>@\0"sv;
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (!path.starts_with('/') || name.empty()) return false;
  int words = 0;
  for (std::size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1)) {
    const std::size_t end = at + name.size();
    if (end < text.size() && !kEnds.contains(text[end])) continue;
    // It may hold what begins words, as a folder with a blank does: each beginning in its line is tried.
    for (std::size_t begin = at; end - begin <= kLongest; --begin) {
      if (begin == 0 || kBegins.contains(text[begin - 1])) {
        if (++words > kMostWords) return false;
        if (base::told_path(teller, text.substr(begin, end - begin)) == path) return true;
      }
      if (begin == 0 || text[begin - 1] == '\n') break;
    }
  }
  return false;
}

bool means_file(std::string_view word, std::string_view path, std::string_view standing) {
  while (word.starts_with("./"))
    word.remove_prefix(2);
  while (word.starts_with("//"))
    word.remove_prefix(1);
  if (word.empty() || path.empty()) return false;
  if (word.front() == '/') return word == path;
  if (word.size() >= path.size() || !path.ends_with(word)) return false;
  std::string_view folder = path.substr(0, path.size() - word.size());
  if (folder.back() != '/') return false;
  folder.remove_suffix(1);
  return word.contains('/') || (!standing.empty() && folder == (standing == "/" ? "" : standing));
}

}  // namespace keytrail::warden
