// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/cgroup_names.h"

#include <algorithm>
#include <array>

#include "agent/base/workload_facts.h"

namespace keytrail::identify {
namespace {

constexpr std::size_t kUuid = 36;
constexpr std::size_t kHash = 32;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

bool is_uuid(std::string_view text) {
  if (text.size() != kUuid) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text.substr(i, 1))) return false;
  }
  return true;
}

std::string_view without(std::string_view text, std::string_view suffix) {
  return text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
}

}  // namespace

bool is_build_id(std::string_view text) {
  return text.size() == 25 && std::ranges::all_of(text, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'z'); });
}

std::string_view container_of(std::string_view part) {
  static constexpr std::array<std::string_view, 6> kPrefixes{"docker-", "cri-containerd-", "crio-",
                                                             "libpod-", "nerdctl-",        "containerd-"};
  const std::string_view name = without(part, ".scope");
  for (std::string_view prefix : kPrefixes) {
    if (!name.starts_with(prefix)) continue;
    const std::string_view id = name.substr(prefix.size());
    if (base::is_drawn_id(id) || (prefix == "docker-" && is_build_id(id))) return id;
  }
  return {};
}

std::string_view payload_of(std::string_view part) {
  constexpr std::string_view kPrefix = "libpod-payload-";
  return part.starts_with(kPrefix) && base::is_drawn_id(part.substr(kPrefix.size())) ? part.substr(kPrefix.size())
                                                                                     : std::string_view();
}

std::optional<ColonForm> colon_form(std::string_view part) {
  const std::size_t first = part.find(':');
  const std::size_t last = part.rfind(':');
  if (first == last) return std::nullopt;
  const std::string_view id = part.substr(last + 1);
  if (!base::is_drawn_id(id) && !is_build_id(id)) return std::nullopt;
  return ColonForm{.slice = part.substr(0, first), .id = id};
}

bool is_kubepods(std::string_view part) {
  return part == "kubepods" || part == "kubepods.slice" || part.ends_with("-kubepods.slice");
}

std::string pod_of(std::string_view part) {
  std::string_view name = without(part, ".slice");
  if (const std::size_t at = name.rfind("-pod"); at != std::string_view::npos) {
    const std::string_view tree = without(without(name.substr(0, at), "-besteffort"), "-burstable");
    if (tree != "kubepods" && !tree.ends_with("-kubepods")) return {};
    name.remove_prefix(at + 1);
  }
  if (!name.starts_with("pod")) return {};
  std::string uid(name.substr(3));
  std::ranges::replace(uid, '_', '-');
  return is_uuid(uid) || (uid.size() == kHash && is_hex(uid)) ? uid : std::string();
}

std::string_view nomad_task_of(std::string_view part) {
  const std::string_view name = without(part, ".scope");
  const bool task = name.size() > kUuid + 1 && name[kUuid] == '.' && is_uuid(name.substr(0, kUuid));
  return task ? name : std::string_view();
}

std::string machine_of(std::string_view part) {
  struct Form {
    std::string_view prefix, suffix;
  };
  static constexpr std::array<Form, 2> kForms{{{"machine-", ".scope"}, {"systemd-nspawn@", ".service"}}};
  for (const Form& form : kForms) {
    if (part.size() <= form.prefix.size() + form.suffix.size() || !part.starts_with(form.prefix) ||
        !part.ends_with(form.suffix)) {
      continue;
    }
    constexpr std::string_view kDash = "\\x2d";  // the only character of a machine's name that systemd escapes
    std::string name(without(part.substr(form.prefix.size()), form.suffix));
    for (std::size_t at = name.find(kDash); at != std::string::npos; at = name.find(kDash, at + 1))
      name.replace(at, kDash.size(), "-");
    return name.starts_with("qemu-") || name.starts_with("lxc-") ? std::string() : name;  // libvirt's
  }
  return {};
}

bool is_runtime_unit(std::string_view unit) {
  static constexpr std::array<std::string_view, 20> kUnits{"containerd.service",
                                                           "docker.service",
                                                           "crio.service",
                                                           "cri-o.service",
                                                           "kubelet.service",
                                                           "k3s.service",
                                                           "k3s-agent.service",
                                                           "rke2-server.service",
                                                           "rke2-agent.service",
                                                           "k0scontroller.service",
                                                           "k0sworker.service",
                                                           "snap.microk8s.daemon-containerd.service",
                                                           "snap.microk8s.daemon-kubelite.service",
                                                           "snap.k8s.containerd.service",
                                                           "snap.docker.dockerd.service",
                                                           "buildkit.service",
                                                           "buildkitd.service",
                                                           "podman.service",
                                                           "nomad.service",
                                                           "ecs.service"};
  return std::ranges::find(kUnits, unit) != kUnits.end();
}

}  // namespace keytrail::identify
