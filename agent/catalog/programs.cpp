// SPDX-License-Identifier: Apache-2.0
// Programs by their executable and the script it runs, and who usually reads a file. Any thread.
#include <algorithm>
#include <string>

#include "agent/base/program_name.h"
#include "agent/catalog/impl.h"

namespace keytrail::catalog {
namespace {

using base::base_name;

std::string_view without_deleted(std::string_view path) {
  constexpr std::string_view kDeleted = " (deleted)";
  return path.ends_with(kDeleted) ? path.substr(0, path.size() - kDeleted.size()) : path;
}

bool is_named(tables::Strings names, std::string_view name) {
  return !name.empty() && std::ranges::any_of(names, [&](std::string_view pattern) { return glob(pattern, name); });
}

}  // namespace

bool Catalog::Impl::installed(std::string_view path) const {
  const std::string_view directory = path.substr(0, path.rfind('/'));
  return std::ranges::any_of(t_.installed, [&](std::string_view known) {
    if (!known.ends_with("/**")) return directory == known;
    known.remove_suffix(3);
    return directory.starts_with(known) && (directory.size() == known.size() || directory[known.size()] == '/') &&
           !path.contains("/../");
  });
}

const Program* Catalog::Impl::program_named(std::string_view path, bool script, bool trusted) const {
  const std::string_view name = base_name(path);
  std::uint16_t best = tables::kNone;
  const auto consider = [&](std::uint16_t index) {
    const tables::ProgramName& entry = t_.program_names[index];
    const Program& program = t_.programs[entry.program];
    if (script && !entry.script) return;
    // What raises evidence must come from where packages install it: a copy named `aws` in /tmp proves nothing.
    if ((program.obeys_selectors || program.helper || program.late_key) && !(trusted && installed(path))) return;
    best = std::min(best, entry.program);
  };
  if (const auto found = program_names_.find(name); found != program_names_.end())
    std::ranges::for_each(found->second, consider);
  for (const std::uint16_t index : program_prefixes_) {
    const std::string_view pattern = t_.program_names[index].name;
    if (name.starts_with(pattern.substr(0, pattern.size() - 1))) consider(index);
  }
  if (best == tables::kNone && !script) {
    for (const tables::ProgramFolder& entry : t_.program_folders) {
      if (path.starts_with(entry.folder) && path.substr(entry.folder.size()).starts_with('/') && !path.contains("/../"))
        best = entry.program;
    }
  }
  return best == tables::kNone ? nullptr : &t_.programs[best];
}

const Program* Catalog::Impl::match_program(std::string_view exe, std::string_view filename) const {
  std::string both(exe);
  both.append(1, '\0').append(filename);
  return known_programs_.get(both, [&] { return find_program(exe, filename); });
}

const Program* Catalog::Impl::find_program(std::string_view exe, std::string_view filename) const {
  exe = without_deleted(exe);
  const Program* binary = program_named(exe, false, true);
  if (binary == nullptr || !binary->runtime || filename.empty() || base_name(filename) == base_name(exe)) return binary;
  // A script: the runtime is the executable, the script is what was passed to execve.
  const Program* script = program_named(filename, true, installed(exe));
  return script != nullptr ? script : binary;
}

const Role* Catalog::Impl::match_role(std::string_view exe, std::string_view filename, std::string_view script) const {
  for (const std::string_view path : {without_deleted(exe), filename, script}) {
    if (path.empty() || path.starts_with("-m ")) continue;
    const auto found = std::ranges::find_if(t_.roles, [&](const tables::RoleData& one) {
      return is_named(one.names, base_name(path)) ||
             std::ranges::any_of(one.inside, [&](std::string_view part) { return path.contains(part); });
    });
    if (found != t_.roles.end()) return &found->is;
  }
  return nullptr;
}

const Role* Catalog::Impl::find_role(std::string_view title) const {
  const auto found = std::ranges::find(t_.roles, title, [](const tables::RoleData& one) { return one.is.title; });
  return found != t_.roles.end() ? &found->is : nullptr;
}

std::optional<Reader> Catalog::Impl::match_reader(std::string_view exe, std::string_view filename,
                                                  const File* file) const {
  exe = without_deleted(exe);
  std::optional<Reader> best;
  for (const tables::ReaderData& entry : t_.readers) {
    const bool there = std::ranges::any_of(entry.folders, [&](std::string_view folder) {
      return exe.starts_with(folder) && exe.substr(folder.size()).starts_with('/') && !exe.contains("/../");
    });
    if (!there && !is_named(entry.names, base_name(exe)) && !is_named(entry.names, base_name(filename))) continue;
    const bool expected = file != nullptr && std::ranges::any_of(entry.reads, [&](std::string_view pattern) {
                            return glob(pattern, file->id);
                          });
    // Who reads it by its job comes before whoever may read anything.
    if (best && (best->expected > expected || (best->expected == expected && best->role <= entry.role))) continue;
    best = Reader{entry.id, entry.role, expected};
  }
  return best;
}

}  // namespace keytrail::catalog
