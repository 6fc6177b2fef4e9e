// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/proc_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "agent/base/fd.h"
#include "agent/base/system_clock.h"
#include "agent/catalog/script.h"
#include "agent/identify/cgroup_path.h"

namespace keytrail::identify {
namespace {

constexpr std::size_t kMaxFile = 16'384;
constexpr ino_t kInitialPidNs = 0xEFFFFFFC;  // include/linux/proc_ns.h: PROC_PID_INIT_INO

base::UniqueFd open_process(const std::string& root, std::uint32_t tgid) {
  return base::UniqueFd(::open((root + "/" + std::to_string(tgid)).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

std::string read_file(int directory, const char* name) {
  const base::UniqueFd fd(::openat(directory, name, O_RDONLY | O_CLOEXEC));
  std::string out;
  std::array<char, 4096> buffer;
  while (fd && out.size() < kMaxFile) {
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count <= 0) break;
    out.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return out;
}

template <typename T>
bool read_number(std::string_view text, T& out) {
  const std::size_t digits = text.find_first_of("0123456789");
  if (digits == std::string_view::npos) return false;
  return std::from_chars(text.data() + digits, text.data() + text.size(), out).ec == std::errc{};
}

// proc_pid_stat(5): the name stands in parentheses and may hold anything, so the last ')' ends it.
struct Stat {
  std::string comm;
  std::uint32_t parent = 0;
  std::uint32_t tty = 0;  ///< new_encode_dev: the minor number's upper bits come last
  std::uint64_t start_ticks = 0;
};
std::optional<Stat> parse_stat(std::string_view text) {
  const std::size_t open = text.find('(');
  const std::size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return std::nullopt;
  Stat out{.comm = std::string(text.substr(open + 1, close - open - 1))};
  std::string_view rest = text.substr(close + 1);
  for (int field = 3; field <= 22; ++field) {
    rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(' ')));
    const std::string_view value = rest.substr(0, rest.find(' '));
    rest.remove_prefix(value.size());
    if (field == 4 && !read_number(value, out.parent)) return std::nullopt;
    if (field == 7 && !read_number(value, out.tty)) return std::nullopt;
    if (field == 22 && !read_number(value, out.start_ticks)) return std::nullopt;
  }
  return out;
}

// The beginning of a command line, whose words may be secrets: one read, wiped. A program may have been given
// megabytes.
class CommandLine {
 public:
  explicit CommandLine(int fd) {
    const ssize_t count = ::pread(fd, text_.data(), text_.size(), 0);
    rest_ = {text_.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }
  ~CommandLine() { ::explicit_bzero(text_.data(), text_.size()); }
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  /// Nothing: the end, or that of what was read.
  std::optional<std::string_view> next_word() {
    const std::size_t end = rest_.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return out;
  }

 private:
  std::array<char, 4096> text_;
  std::string_view rest_;
};

std::uint32_t device_of(std::uint32_t encoded) {
  const std::uint32_t major = (encoded >> 8U) & 0xFFFU, minor = (encoded & 0xFFU) | ((encoded >> 12U) & 0xFFF00U);
  return major << 20U | minor;
}

// "Uid:\t1000\t1001\t…": real, effective.
std::uint32_t effective_id(std::string_view status, std::string_view field) {
  std::uint32_t out = 0;
  const std::size_t at = status.find(field);
  if (at == std::string_view::npos) return out;
  std::string_view line = status.substr(at + field.size());
  line = line.substr(0, line.find('\n'));
  line.remove_prefix(std::min(line.size(), line.find_first_of("0123456789")));
  line.remove_prefix(std::min(line.size(), line.find('\t')));
  read_number(line, out);
  return out;
}

}  // namespace

ProcReader::ProcReader(std::string root)
    : root_(std::move(root)), ns_per_tick_(1'000'000'000U / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK))) {
  struct stat own{};
  const bool initial = root_ != "/proc" || (::stat("/proc/self/ns/pid", &own) == 0 && own.st_ino == kInitialPidNs);
  if (root_ == "/proc") offset_ns_ = base::time_namespace_offset_ns();
  complete_ = initial && ::access((root_ + "/1/stat").c_str(), R_OK) == 0;
}

// /proc shows a start in the reader's time namespace, events have the machine's.
std::uint64_t ProcReader::ticks_of(std::uint64_t start_ns) const {
  return (start_ns + static_cast<std::uint64_t>(offset_ns_)) / ns_per_tick_;
}

std::optional<ProcFacts> ProcReader::read(std::uint32_t tgid, std::uint64_t start_ns) const {
  const base::UniqueFd directory = open_process(root_, tgid);
  if (!directory) return std::nullopt;
  const auto stat = parse_stat(read_file(directory.get(), "stat"));
  if (!stat || stat->start_ticks != ticks_of(start_ns)) return std::nullopt;
  const std::string status = read_file(directory.get(), "status");
  ProcFacts out{.comm = stat->comm,
                .parent_tgid = stat->parent,
                .uid = effective_id(status, "\nUid:"),
                .gid = effective_id(status, "\nGid:"),
                .tty = device_of(stat->tty)};
  read_number(read_file(directory.get(), "loginuid"), out.login_uid);
  read_number(read_file(directory.get(), "sessionid"), out.session_id);
  if (const std::string text = read_file(directory.get(), "cgroup"); !text.empty())
    out.cgroup = choose_cgroup_path(text);
  if (status.empty())
    return std::nullopt;  // it ended meanwhile: half of the facts would be defaults that look like root
  return out;
}

std::string ProcReader::script(std::uint32_t tgid, std::uint64_t start_ns,
                               const catalog::Interpreter& interpreter) const {
  const base::UniqueFd directory = open_process(root_, tgid);
  if (!directory) return {};
  const auto stat = parse_stat(read_file(directory.get(), "stat"));
  const base::UniqueFd file(::openat(directory.get(), "cmdline", O_RDONLY | O_CLOEXEC));
  if (!stat || stat->start_ticks != ticks_of(start_ns) || !file) return {};
  CommandLine words(file.get());
  if (!words.next_word()) return {};  // its own name
  catalog::ScriptFinder finder(interpreter);
  while (const auto word = words.next_word()) {
    const auto next = finder.word(*word);
    if (next == catalog::ScriptFinder::Next::kFound) return finder.script();
    if (next == catalog::ScriptFinder::Next::kNone) break;
  }
  return {};
}

ProcReader::Alive ProcReader::alive(std::uint32_t tgid, std::uint64_t start_ns) const {
  if (!complete_) return Alive::kUnknown;
  const base::UniqueFd directory = open_process(root_, tgid);
  if (!directory) return errno == ENOENT ? Alive::kNo : Alive::kUnknown;
  const auto stat = parse_stat(read_file(directory.get(), "stat"));
  if (!stat) return Alive::kUnknown;
  return stat->start_ticks == ticks_of(start_ns) ? Alive::kYes : Alive::kNo;
}

}  // namespace keytrail::identify
