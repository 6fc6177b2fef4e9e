// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/cgroup_path.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <vector>

#include "agent/base/workload_facts.h"
#include "agent/identify/cgroup_names.h"

namespace keytrail::identify {
namespace {

using Parts = std::span<const std::string_view>;

constexpr std::size_t kMaxParts = 64;

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty() && out.size() < kMaxParts) {
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    if (!part.empty() && !(out.empty() && part == "..")) out.push_back(part);
  }
  return out;
}

/// What the makers of one tree of cgroups have named: the first owner ends the walk.
struct Found {
  CgroupPlace place;
  std::size_t parts = 0;   ///< how many lead to it, its own directory the last
  bool free_text = false;  ///< nothing but its place says that this is a container's id

  static Found container(std::string_view id, std::size_t parts, const char* runtime = "") {
    return {{.kind = WorkloadKind::kContainer, .container = std::string(id), .runtime = runtime}, parts};
  }
  static Found unit(std::string_view name, std::size_t parts, std::uint32_t user = UINT32_MAX) {
    return {{.kind = WorkloadKind::kSystemdUnit, .unit = std::string(name), .user = user}, parts};
  }
  Found& below(std::size_t more) {
    if (parts != 0) parts += more;
    return *this;
  }
  [[nodiscard]] bool is_of_runtime() const {
    return place.kind == WorkloadKind::kContainer || place.kind == WorkloadKind::kPod;
  }
};

// "POD.slice:cri-containerd:ID", "system.slice:docker:ID" at the end of `parts` directories.
Found read_colon(const ColonForm& colon, std::size_t parts) {
  Found out = Found::container(colon.id, parts);
  out.place.pod_uid = pod_of(colon.slice);
  if (!out.place.pod_uid.empty()) out.place.kind = WorkloadKind::kPod;
  return out;
}

// Below kubepods.
Found read_kubepods(Parts parts) {
  Found out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = parts[i];
    if (const auto colon = colon_form(part)) {
      Found found = read_colon(*colon, i + 1);
      if (!out.place.pod_uid.empty()) found.place.pod_uid = out.place.pod_uid;
      if (found.place.pod_uid.empty()) return out;
      found.place.kind = WorkloadKind::kPod;
      return found;
    }
    if (out.place.pod_uid.empty()) {
      if (out.place.pod_uid = pod_of(part); !out.place.pod_uid.empty()) {
        out.place.kind = WorkloadKind::kPod;
        out.parts = i + 1;
      }
      continue;
    }
    out.place.container = base::is_drawn_id(part) ? part : container_of(part);
    if (!out.place.container.empty()) out.parts = i + 1;
    break;  // whatever it is: what lies below is the container's
  }
  return out;
}

// A unit that starts one container has it in a directory of its own: it stays the unit, the id changes at each start.
Found read_unit(std::string_view unit, Parts parts, std::uint32_t user = UINT32_MAX) {
  Found out = Found::unit(unit, 1, user);
  if (!parts.empty()) out.place.container = payload_of(parts[0]);
  return out;
}

// Below user@UID.service everything is made by that user.
Found read_user_manager(Parts parts, std::uint32_t user, std::string_view manager) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = parts[i];
    if (const std::string_view id = container_of(part); !id.empty()) {
      Found out = Found::container(id, i + 1);
      out.place.known_by = KnownBy::kClaimed;
      out.place.user = user;
      return out;
    }
    if (part == "init.scope") break;
    if (part.ends_with(".scope"))
      return {{.kind = WorkloadKind::kLoginSession, .unit = std::string(part), .user = user}, i + 1};
    if (part.ends_with(".service")) {
      Found out = read_unit(part, parts.subspan(i + 1), user).below(i);
      out.place.known_by = KnownBy::kClaimed;
      return out;
    }
    if (!part.ends_with(".slice")) break;
  }
  return Found::unit(manager, 0, user);
}

// Below user.slice.
Found read_user_slice(Parts parts) {
  if (parts.empty() || !parts[0].starts_with("user-") || !parts[0].ends_with(".slice")) return {};
  const std::string_view digits = parts[0].substr(5, parts[0].size() - 5 - 6);
  std::uint32_t user = UINT32_MAX;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), user);
  if (error != std::errc{} || end != digits.data() + digits.size()) return {};
  const CgroupPlace slice{.user = user};
  if (parts.size() == 1) return {slice};
  const std::string_view part = parts[1];
  if (part.starts_with("session-") && part.ends_with(".scope"))
    return {{.kind = WorkloadKind::kLoginSession, .unit = std::string(part), .user = user}, 2};
  if (part.starts_with("user@") && part.ends_with(".service")) {
    Found out = read_user_manager(parts.subspan(2), user, part);
    out.parts += 2;
    return out;
  }
  if (part.ends_with(".service") || part.ends_with(".scope")) return Found::unit(part, 2, user);
  return {slice};
}

// LXC, LXD, Incus, Proxmox: "lxc.payload.NAME", "lxc.payload/NAME", "lxc/NAME"; not "lxc.monitor.NAME".
Found read_lxc(Parts parts) {
  constexpr std::string_view kPayload = "lxc.payload.";
  if (parts[0].starts_with(kPayload) && parts[0].size() > kPayload.size())
    return Found::container(parts[0].substr(kPayload.size()), 1, "lxc");
  if ((parts[0] == "lxc" || parts[0] == "lxc.payload") && parts.size() > 1) return Found::container(parts[1], 2, "lxc");
  return {};
}

// Directories in which runtimes give ids of free text: containerd by its namespace, ECS.
Found read_free_text(Parts parts) {
  if (parts.size() < 2 || base::is_drawn_id(parts[1])) return {};
  Found out;
  if (parts[0] == "k8s.io" || parts[0] == "default") out = Found::container(parts[1], 2);
  if (parts[0] == "ecs") {  // ecs/[CLUSTER/]TASK/CONTAINER
    for (std::size_t i = 2; i < parts.size(); ++i) {
      if (base::is_drawn_id(parts[i])) return Found::container(parts[i], i + 1);
    }
    const std::size_t last = std::min<std::size_t>(parts.size(), 3);
    out = Found::container(parts[last - 1], last);
  }
  out.free_text = true;
  return out;
}

// Plain directories, which only root can make: a runtime with the cgroupfs driver has its containers there, by default
// in "docker" or "libpod_parent", with --cgroup-parent anywhere.
Found read_directories(Parts parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = parts[i];
    if (part.ends_with(".scope") || part.ends_with(".service") || part.ends_with(".slice") || is_kubepods(part) ||
        !pod_of(part).empty()) {
      break;  // none of these has its place here
    }
    if (base::is_drawn_id(part)) return Found::container(part, i + 1);
    if (const std::string_view id = container_of(part); !id.empty()) return Found::container(id, i + 1);
    if (i > 0 && parts[i - 1] == "buildkit" && is_build_id(part)) return Found::container(part, i + 1, "buildkit");
    if (parts[0] == "nomad" && !nomad_task_of(part).empty()) return Found::container(part, i + 1, "nomad");
  }
  return {};
}

Found read(Parts parts);

Found read_service(std::string_view unit, Parts parts) {
  if (is_runtime_unit(unit) && !parts.empty()) {
    if (const auto colon = colon_form(parts[0])) return read_colon(*colon, 1).below(1);
    if (Found found = read(parts); found.is_of_runtime()) return found.below(1);
  }
  return read_unit(unit, parts);
}

// systemd-nspawn and what else registers machines: its supervisor is the unit, all else is in the machine.
Found read_machine(std::string_view unit, const std::string& name, Parts parts) {
  if (!parts.empty() && parts[0] == "supervisor") return Found::unit(unit, 1);
  return Found::container(name, !parts.empty() && parts[0] == "payload" ? 2 : 1, "nspawn");
}

// Slices are systemd's, and so are the units in them.
Found read_slices(Parts parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = parts[i];
    const Parts rest = parts.subspan(i + 1);
    if (is_kubepods(part)) return read_kubepods(rest).below(i + 1);
    if (const std::string_view id = container_of(part); !id.empty())
      return Found::container(id, i + 1, is_build_id(id) ? "buildkit" : "");
    if (const std::string machine = machine_of(part); !machine.empty() && i > 0 && parts[0] == "machine.slice")
      return read_machine(part, machine, rest).below(i);
    if (const std::string_view task = nomad_task_of(part); !task.empty() && parts[0] == "nomad.slice")
      return Found::container(task, i + 1, "nomad");
    if (part.ends_with(".service")) return read_service(part, rest).below(i);
    if (part.ends_with(".scope")) return Found::unit(part, i + 1);
    if (const auto colon = colon_form(part); colon && colon->slice.ends_with(".slice"))
      return read_colon(*colon, i + 1);
    if (!part.ends_with(".slice")) break;  // a directory that somebody made
  }
  return {};
}

Found read(Parts parts) {
  if (parts.empty()) return {};
  const std::string_view first = parts[0];
  if (first == "kubepods") return read_kubepods(parts.subspan(1)).below(1);
  if (first == "kubelet" && parts.size() > 1 && parts[1] == "kubepods") return read_kubepods(parts.subspan(2)).below(2);
  if (first == "user.slice") return read_user_slice(parts.subspan(1)).below(1);
  if (first.ends_with(".slice") || first.ends_with(".service") || first.ends_with(".scope") || first.contains(':'))
    return read_slices(parts);
  for (const auto reader : {read_lxc, read_free_text}) {
    if (Found found = reader(parts); found.is_of_runtime()) return found;
  }
  return read_directories(parts);
}

// Where a container's own tree begins: crun and Proxmox put a directory between.
Parts own_tree(Parts parts) {
  const bool between = !parts.empty() && (parts[0] == "container" || parts[0] == "ns");
  return between ? parts.subspan(1) : parts;
}

std::size_t rank(const CgroupPlace& place) {
  const std::size_t nested = place.outer_container.empty() ? 0 : 1;
  switch (place.kind) {
    case WorkloadKind::kHost:
      return 0;
    case WorkloadKind::kPod:
      return 6 + nested;
    case WorkloadKind::kContainer:
      return 4 + nested;
    default:
      return 2;
  }
}

}  // namespace

CgroupPlace parse_cgroup_path(std::string_view path) {
  if (!path.starts_with('/')) return {};  // its beginning was cut: what is left may imitate another tree
  const std::vector<std::string_view> all = split(path);
  Parts parts(all);
  Found found = read(parts);
  const CgroupPlace outermost = found.place;
  CgroupPlace out = found.place;
  const auto length_of = [&](std::size_t count) {
    return count == 0 ? 0 : static_cast<std::size_t>(parts[count - 1].data() + parts[count - 1].size() - path.data());
  };
  out.length = length_of(found.parts);
  // A container that is a machine of its own (a node of kind or k3d, LXC, Docker in Docker) names what is in it: that
  // is its word, not root's.
  while (found.is_of_runtime() && !found.place.container.empty()) {
    parts = own_tree(parts.subspan(found.parts));
    found = read(parts);
    if (!found.is_of_runtime() || found.free_text) break;
    if (found.place.container == out.container) continue;  // once more the same: the host's path in a v1 container
    out = found.place;
    out.known_by = KnownBy::kClaimed;
    out.user = outermost.user;
    out.length = length_of(found.parts);
    out.outer_container = outermost.container;
    out.outer_pod = outermost.pod_uid;
    out.outer_runtime = outermost.runtime;
  }
  return out;
}

CgroupPlace parse_cgroup_path(std::string_view path, const CgroupMakers& makers) {
  CgroupPlace all = parse_cgroup_path(path);
  if (makers.claimed == 0 || all.kind == WorkloadKind::kHost) return all;
  std::string_view roots_part = path;
  for (std::size_t i = 0; i < makers.claimed && !roots_part.empty(); ++i)
    roots_part = roots_part.substr(0, roots_part.rfind('/'));
  CgroupPlace roots = parse_cgroup_path(roots_part);
  if (roots == all) return all;
  if (all.user != UINT32_MAX && all.user == roots.user) return all;  // a user's slice: what is in it is told as that
  // What is in a container, and which container a unit has, is claimed already.
  const bool in_it = !all.outer_container.empty() &&
                     (all.outer_container == roots.container || all.outer_container == roots.outer_container);
  if (in_it || (roots.kind == WorkloadKind::kSystemdUnit && roots.unit == all.unit)) return all;
  if (roots.kind != WorkloadKind::kHost) return roots;  // the first owner ends the walk
  if (all.kind != WorkloadKind::kContainer && all.kind != WorkloadKind::kSystemdUnit) return {};
  all.known_by = KnownBy::kClaimed;
  all.user = makers.owner;
  return all;
}

std::string_view directory_of_owner(std::string_view path, std::size_t claimed) {
  constexpr int kDirectories = 3;
  for (; claimed > 0 && !path.empty(); --claimed)
    path = path.substr(0, std::min(path.rfind('/'), path.size() - 1));
  std::size_t end = 0;
  for (int i = 0; i < kDirectories && end != std::string_view::npos; ++i)
    end = path.find('/', end + 1);
  return path.substr(0, end);
}

std::string choose_cgroup_path(std::string_view proc_pid_cgroup) {
  std::string_view best = "/";
  std::size_t best_rank = 0;
  while (!proc_pid_cgroup.empty()) {
    const std::string_view line = proc_pid_cgroup.substr(0, proc_pid_cgroup.find('\n'));
    proc_pid_cgroup.remove_prefix(std::min(proc_pid_cgroup.size(), line.size() + 1));
    const std::size_t first = line.find(':');  // ID:CONTROLLERS:PATH
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view path = line.substr(second + 1);
    if (path.empty() || path == "/") continue;
    const std::size_t now = rank(parse_cgroup_path(path));
    if (best != "/" && now <= best_rank) continue;
    best = path;
    best_rank = now;
  }
  return std::string(best);
}

}  // namespace keytrail::identify
