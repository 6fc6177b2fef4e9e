// SPDX-License-Identifier: Apache-2.0
#include "agent/base/program_name.h"

#include <algorithm>
#include <array>

namespace keytrail::base {
namespace {

constexpr std::string_view kDeleted = " (deleted)";
constexpr std::size_t kLongestThreadName = 15;

/// Interpreters, with or without a version (python3.11), and binaries that are whatever they are called as.
bool runs_others(std::string_view program) {
  static constexpr std::array<std::string_view, 15> kNames{"python", "perl",    "ruby",   "node",      "bash",
                                                           "dash",   "sh",      "zsh",    "php",       "lua",
                                                           "tclsh",  "busybox", "toybox", "coreutils", "k3s"};
  return std::ranges::any_of(kNames, [&](std::string_view name) {
    return program.starts_with(name) && program.substr(name.size()).find_first_not_of("0123456789.") == program.npos;
  });
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
  const std::string_view script = module ? std::string_view(process.script) : base_name(process.script);
  // The kernel names the thread of a `#!` program by its script: what was passed to execve is not known any more.
  if (!module && process.filename.empty() && script.substr(0, kLongestThreadName) == process.comm)
    return std::string(script);
  name.resize(std::min(name.size(), name.find('.')));
  return name.append(" ").append(script);
}

}  // namespace keytrail::base
