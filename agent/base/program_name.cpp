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

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '-'; }

/// A script's name without what is another at each run (jenkins8091234.sh, a UUID, mktemp's): one program, not many.
std::string stable_name(std::string_view path) {
  std::string_view name = base_name(path);
  std::string out;
  if (name.starts_with("tmp") && path.size() > name.size() && is_in_temporary(path)) {
    const std::size_t dot = name.rfind('.');
    out = "tmp*";
    if (dot > std::string_view("tmp").size() && dot != name.npos) out += name.substr(dot);
    return out;
  }
  while (!name.empty()) {
    const auto end = std::ranges::find_if_not(name, is_hex) - name.begin();
    const std::string_view run = name.substr(0, static_cast<std::size_t>(end));
    const auto digits = std::ranges::count_if(run, [](char c) { return c >= '0' && c <= '9'; });
    const auto dashes = std::ranges::count(run, '-');
    const bool random = digits >= 6 || (digits > 0 && std::ssize(run) - dashes >= 8);
    out += random ? "*" : run;
    name.remove_prefix(run.size());
    if (name.empty()) break;
    out += name.front();
    name.remove_prefix(1);
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
  const std::string script = module ? process.script : stable_name(process.script);
  // The kernel names the thread of a `#!` program by its script: what was passed to execve is not known any more.
  if (!module && process.filename.empty() && base_name(process.script).substr(0, kLongestThreadName) == process.comm)
    return script;
  name.resize(std::min(name.size(), name.find('.')));
  return name.append(" ").append(script);
}

}  // namespace keytrail::base
