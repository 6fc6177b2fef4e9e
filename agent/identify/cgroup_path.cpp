// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/cgroup_path.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <vector>

namespace keytrail::identify {
namespace {

using Parts = std::span<const std::string_view>;

constexpr std::size_t kMaxParts = 64;

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty() && out.size() < kMaxParts) {
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    if (!part.empty() && !(out.empty() && part == "..")) out.push_back(part);
  }
  return out;
}

std::string_view without(std::string_view text, std::string_view suffix) {
  return text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
}

// "docker-ID.scope", "cri-containerd-ID.scope", "crio-ID", "libpod-ID.scope", …; not the monitors
// ("libpod-conmon-ID.scope").
std::string_view container_of(std::string_view part) {
  static constexpr std::array<std::string_view, 6> kPrefixes{"docker-", "cri-containerd-", "crio-",
                                                             "libpod-", "nerdctl-",        "containerd-"};
  const std::string_view name = without(part, ".scope");
  for (std::string_view prefix : kPrefixes) {
    if (name.starts_with(prefix) && is_container_id(name.substr(prefix.size()))) return name.substr(prefix.size());
  }
  return {};
}

// "kubepods-burstable-pod1234_….slice:cri-containerd:ID": systemd's form under the cgroupfs driver.
struct ColonForm {
  std::string_view slice, id;
};
std::optional<ColonForm> colon_form(std::string_view part) {
  const std::size_t first = part.find(':');
  const std::size_t last = part.rfind(':');
  if (first == last || !is_container_id(part.substr(last + 1))) return std::nullopt;
  return ColonForm{.slice = part.substr(0, first), .id = part.substr(last + 1)};
}

// "pod1234-…", "kubepods-burstable-pod1234_….slice", "kubelet-kubepods-pod….slice" → "1234-…".
std::string pod_of(std::string_view part) {
  std::string_view name = without(part, ".slice");
  if (const std::size_t at = name.rfind("-pod"); at != std::string_view::npos) {
    const std::string_view tree = name.substr(0, at);
    if (!tree.starts_with("kubepods") && !tree.starts_with("kubelet-kubepods")) return {};
    name.remove_prefix(at + 1);
  }
  if (!name.starts_with("pod")) return {};
  std::string uid(name.substr(3));
  std::replace(uid.begin(), uid.end(), '_', '-');
  if (uid.size() == 32 && is_hex(uid)) return uid;
  if (uid.size() != 36) return {};
  for (std::size_t i = 0; i < uid.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? uid[i] != '-' : !is_hex(std::string_view(uid).substr(i, 1))) return {};
  }
  return uid;
}

CgroupPlace read_kubepods(Parts parts) {
  CgroupPlace out;
  for (std::string_view part : parts) {
    if (const auto colon = colon_form(part)) {
      const std::string pod = out.pod_uid.empty() ? pod_of(colon->slice) : out.pod_uid;
      return pod.empty() ? out
                         : CgroupPlace{.kind = WorkloadKind::kPod, .container = std::string(colon->id), .pod_uid = pod};
    }
    if (out.pod_uid.empty()) {
      out.pod_uid = pod_of(part);
      if (!out.pod_uid.empty()) out.kind = WorkloadKind::kPod;
      continue;
    }
    const std::string_view id = is_container_id(part) ? part : container_of(part);
    out.container = id;
    break;  // whatever it is: what lies below is the container's
  }
  return out;
}

// Below user@UID.service everything is made by that user.
CgroupPlace read_user_manager(Parts parts, std::uint32_t user, std::string_view manager) {
  for (std::string_view part : parts) {
    if (const std::string_view id = container_of(part); !id.empty()) {
      return {
          .kind = WorkloadKind::kContainer, .known_by = KnownBy::kClaimed, .container = std::string(id), .user = user};
    }
    if (part == "init.scope") break;
    if (part.ends_with(".scope")) return {.kind = WorkloadKind::kLoginSession, .unit = std::string(part), .user = user};
    if (part.ends_with(".service")) {
      return {
          .kind = WorkloadKind::kSystemdUnit, .known_by = KnownBy::kClaimed, .unit = std::string(part), .user = user};
    }
    if (!part.ends_with(".slice")) break;
  }
  return {.kind = WorkloadKind::kSystemdUnit, .unit = std::string(manager), .user = user};
}

CgroupPlace read_user_slice(Parts parts) {
  if (parts.empty() || !parts[0].starts_with("user-") || !parts[0].ends_with(".slice")) return {};
  const std::string_view digits = without(parts[0].substr(5), ".slice");
  std::uint32_t user = UINT32_MAX;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), user);
  if (error != std::errc{} || end != digits.data() + digits.size()) return {};
  if (parts.size() == 1) return {.user = user};
  const std::string_view part = parts[1];
  if (part.starts_with("session-") && part.ends_with(".scope"))
    return {.kind = WorkloadKind::kLoginSession, .unit = std::string(part), .user = user};
  if (part.starts_with("user@") && part.ends_with(".service")) return read_user_manager(parts.subspan(2), user, part);
  if (part.ends_with(".service") || part.ends_with(".scope"))
    return {.kind = WorkloadKind::kSystemdUnit, .unit = std::string(part), .user = user};
  return {.user = user};
}

bool is_runtime_unit(std::string_view unit) {
  static constexpr std::array<std::string_view, 11> kUnits{
      "containerd.service",    "docker.service",     "crio.service",
      "k3s.service",           "k3s-agent.service",  "kubelet.service",
      "rke2-server.service",   "rke2-agent.service", "snap.microk8s.daemon-containerd.service",
      "k0scontroller.service", "k0sworker.service"};
  return std::find(kUnits.begin(), kUnits.end(), unit) != kUnits.end();
}

bool is_kubepods(std::string_view part) {
  return part == "kubepods" || part == "kubepods.slice" || part == "kubelet-kubepods.slice";
}

// Directories in which runtimes without systemd put their containers: Docker, containerd by namespace, ECS, Podman.
bool is_runtime_directory(std::string_view part) {
  static constexpr std::array<std::string_view, 7> kNames{"docker", "k8s.io",        "default", "moby",
                                                          "ecs",    "libpod_parent", "buildkit"};
  return std::find(kNames.begin(), kNames.end(), part) != kNames.end();
}

CgroupPlace read_runtime_directory(std::string_view directory, Parts parts) {
  if (directory == "ecs" && parts.size() > 1) parts = parts.subspan(1);  // /ecs/TASK/CONTAINER
  if (parts.empty()) return {};
  if (const std::string_view id = container_of(parts[0]); !id.empty())
    return {.kind = WorkloadKind::kContainer, .container = std::string(id)};
  // containerd's ids are free text; elsewhere only the usual ones are taken for containers.
  const bool free_text = directory == "k8s.io" || directory == "default" || directory == "ecs";
  if (!free_text && !is_container_id(parts[0])) return {};
  return {.kind = WorkloadKind::kContainer, .container = std::string(parts[0])};
}

// A unit; a runtime's unit may have its containers below.
CgroupPlace read_service(std::string_view unit, Parts parts) {
  if (is_runtime_unit(unit) && !parts.empty()) {
    if (const auto colon = colon_form(parts[0])) {
      std::string pod = pod_of(colon->slice);
      const WorkloadKind kind = pod.empty() ? WorkloadKind::kContainer : WorkloadKind::kPod;
      return {.kind = kind, .container = std::string(colon->id), .pod_uid = std::move(pod)};
    }
    CgroupPlace below;
    if (is_kubepods(parts[0])) below = read_kubepods(parts.subspan(1));
    if (is_runtime_directory(parts[0])) below = read_runtime_directory(parts[0], parts.subspan(1));
    if (below.kind != WorkloadKind::kHost) return below;
  }
  return {.kind = WorkloadKind::kSystemdUnit, .unit = std::string(unit)};
}

}  // namespace

bool is_container_id(std::string_view text) { return text.size() == 64 && is_hex(text); }

CgroupPlace parse_cgroup_path(std::string_view path) {
  if (!path.starts_with('/')) return {};  // its beginning was cut: what is left may imitate another tree
  const std::vector<std::string_view> all = split(path);
  const Parts parts(all);
  if (parts.empty()) return {};
  if (is_kubepods(parts[0])) return read_kubepods(parts.subspan(1));
  if ((parts[0] == "kubelet" || parts[0] == "kubelet.slice") && parts.size() > 1 && is_kubepods(parts[1]))
    return read_kubepods(parts.subspan(2));
  if (parts[0] == "user.slice") return read_user_slice(parts.subspan(1));
  if (is_runtime_directory(parts[0])) return read_runtime_directory(parts[0], parts.subspan(1));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = parts[i];
    if (const std::string_view id = container_of(part); !id.empty())
      return {.kind = WorkloadKind::kContainer, .container = std::string(id)};
    if (part.ends_with(".service")) return read_service(part, parts.subspan(i + 1));
    if (part.ends_with(".scope")) return {.kind = WorkloadKind::kSystemdUnit, .unit = std::string(part)};
    if (const auto colon = colon_form(part);
        colon && colon->slice.ends_with(".slice") && pod_of(colon->slice).empty()) {
      return {.kind = WorkloadKind::kContainer, .container = std::string(colon->id)};
    }
    if (!part.ends_with(".slice")) return {};  // a directory that somebody made
  }
  return {};
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
  if (roots.kind != WorkloadKind::kHost) return roots;               // the first owner ends the walk
  if (all.kind != WorkloadKind::kContainer && all.kind != WorkloadKind::kSystemdUnit) return {};
  all.known_by = KnownBy::kClaimed;
  all.user = makers.owner;
  return all;
}

std::string choose_cgroup_path(std::string_view proc_pid_cgroup) {
  std::string best = "/";
  while (!proc_pid_cgroup.empty()) {
    const std::string_view line = proc_pid_cgroup.substr(0, proc_pid_cgroup.find('\n'));
    proc_pid_cgroup.remove_prefix(std::min(proc_pid_cgroup.size(), line.size() + 1));
    const std::size_t first = line.find(':');  // ID:CONTROLLERS:PATH
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    std::string_view path = line.substr(second + 1);
    if (path.empty() || path == "/") continue;
    if (parse_cgroup_path(path).kind != WorkloadKind::kHost) return std::string(path);
    if (best == "/") best = path;
  }
  return best;
}

}  // namespace keytrail::identify
