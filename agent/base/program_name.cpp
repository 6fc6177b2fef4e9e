// SPDX-License-Identifier: Apache-2.0
#include "agent/base/program_name.h"

#include <algorithm>
#include <array>

namespace keytrail::base {
namespace {

constexpr std::string_view kDeleted = " (deleted)";
constexpr std::size_t kLongestThreadName = 15;

bool is_in_temporary(std::string_view path) {
  return path.starts_with("/tmp/") || path.starts_with("/var/tmp/") || path.starts_with("/dev/shm/");
}

/// Interpreters, with or without a version (python3.11), and binaries that are whatever they are called as.
bool runs_others(std::string_view program) {
  static constexpr std::array<std::string_view, 15> kNames{"python", "perl",    "ruby",   "node",      "bash",
                                                           "dash",   "sh",      "zsh",    "php",       "lua",
                                                           "tclsh",  "busybox", "toybox", "coreutils", "k3s"};
  return std::ranges::any_of(kNames, [&](std::string_view name) {
    return program.starts_with(name) && program.substr(name.size()).find_first_not_of("0123456789.") == program.npos;
  });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool begins_with_uuid(std::string_view text) {
  constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  return text.size() >= kShape.size() && std::ranges::equal(kShape, text.substr(0, kShape.size()), [](char x, char c) {
           return x == '-' ? c == '-' : is_hex(c);
         });
}

/// How much of the beginning is a UUID, a number of 6 or more digits or a hash; 0: none of these.
std::size_t random_part(std::string_view text) {
  constexpr std::size_t kUuid = 36, kLongestNumber = 5, kLongestWord = 7;
  if (begins_with_uuid(text)) return kUuid;
  const std::string_view run =
      text.substr(0, static_cast<std::size_t>(std::ranges::find_if_not(text, is_hex) - text.begin()));
  const auto digits = static_cast<std::size_t>(std::ranges::count_if(run, is_digit));
  const bool hash = run.size() > kLongestWord && digits > 0;
  return hash || (digits == run.size() && digits > kLongestNumber) ? run.size() : 0;
}

/// A script's name without what is another at each run (jenkins8091234.sh, a UUID, mktemp's): one program, not many.
std::string stable_name(std::string_view path) {
  std::string_view name = base_name(path);
  if (name.starts_with("tmp") && is_in_temporary(path)) {
    const std::size_t dot = name.rfind('.');
    const bool extension = dot != name.npos && dot > std::string_view("tmp").size();
    return "tmp*" + std::string(extension ? name.substr(dot) : "");
  }
  std::string out;
  bool within = false;  // a run that was looked at
  while (!name.empty()) {
    const std::size_t random = within ? 0 : random_part(name);
    within = random == 0 && is_hex(name.front());
    out += random > 0 ? '*' : name.front();
    name.remove_prefix(std::max<std::size_t>(random, 1));
  }
  return out;
}

}  // namespace

std::string program_name(std::string_view exe, std::string_view filename, std::string_view comm) {
  if (exe.ends_with(kDeleted)) exe.remove_suffix(kDeleted.size());
  const std::string_view program = base_name(exe), passed = base_name(filename);
  // /proc/self/exe and /dev/fd/N say nothing, and python3 is a name of python3.11.
  const bool says_something = !passed.empty() && !filename.starts_with("/proc/") && !filename.starts_with("/dev/") &&
                              !program.starts_with(passed);
  if (says_something && (program.empty() || runs_others(program))) return std::string(passed);
  return std::string(program.empty() ? comm : program);
}

std::string program_name(const Process& process) {
  std::string name = program_name(process.exe, process.filename, process.comm);
  if (process.script.empty()) return name;
  const bool module = process.script.starts_with("-m ");
  std::string script = module ? process.script : stable_name(process.script);
  // The kernel names the thread of a `#!` program by its script: what was passed to execve is not known any more.
  if (!module && process.filename.empty() && base_name(process.script).substr(0, kLongestThreadName) == process.comm)
    return script;
  name.resize(std::min(name.size(), name.find('.')));
  return name.append(" ").append(script);
}

}  // namespace keytrail::base
