// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/runtime_cgroup.h"

namespace keytrail::identify {
namespace {

constexpr std::string_view kSlice = ".slice";

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool is_at_or_below(std::string_view path, std::string_view directory) {
  return path == directory || (path.starts_with(directory) && path.substr(directory.size()).starts_with('/'));
}

std::string directory_of_slice(std::string_view slice) {
  if (!slice.ends_with(kSlice) || slice.find('/') != slice.npos) return {};
  const std::string_view name = slice.substr(0, slice.size() - kSlice.size());
  if (name.empty() || name.front() == '-' || name.back() == '-' || name.find("--") != name.npos) return {};
  std::string out;
  for (std::size_t end = name.find('-');; end = name.find('-', end + 1)) {
    out.append("/").append(name.substr(0, end)).append(kSlice);
    if (end == name.npos) return out;
  }
}

}  // namespace

std::string directory_of_bundle(std::string_view cgroups_path) {
  if (cgroups_path.starts_with('/')) return std::string(cgroups_path);
  const std::size_t first = cgroups_path.find(':');
  const std::size_t second = first == cgroups_path.npos ? first : cgroups_path.find(':', first + 1);
  if (second == cgroups_path.npos) return {};
  std::string_view slice = cgroups_path.substr(0, first);
  const std::string_view prefix = cgroups_path.substr(first + 1, second - first - 1);
  const std::string_view name = cgroups_path.substr(second + 1);
  if (slice.empty()) slice = "system.slice";
  std::string out = slice == "-.slice" ? std::string() : directory_of_slice(slice);
  if ((out.empty() && slice != "-.slice") || name.empty() || name.find('/') != name.npos) return {};
  out.append("/").append(prefix).append(prefix.empty() ? "" : "-").append(name);
  return name.ends_with(kSlice) ? out : out.append(".scope");
}

bool is_in_bundle(std::string_view cgroup, std::string_view cgroups_path, std::string_view container) {
  const std::string directory = directory_of_bundle(cgroups_path);
  if (container.empty() || last_part(cgroups_path).find(container) == cgroups_path.npos) return false;
  if (!directory.empty() && is_at_or_below(cgroup, directory)) return true;
  // runc without systemd takes what is no path from the root as it is, below its own cgroup: a unit's, or the root.
  if (cgroups_path.starts_with('/')) return false;
  if (cgroup.starts_with('/') && is_at_or_below(cgroup.substr(1), cgroups_path)) return true;
  constexpr std::string_view kUnits = "/system.slice/";
  if (!cgroup.starts_with(kUnits)) return false;
  const std::size_t end = cgroup.find('/', kUnits.size());
  return end != cgroup.npos && cgroup.substr(0, end).ends_with(".service") &&
         is_at_or_below(cgroup.substr(end + 1), cgroups_path);
}

}  // namespace keytrail::identify
