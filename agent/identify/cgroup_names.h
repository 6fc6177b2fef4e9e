// SPDX-License-Identifier: Apache-2.0
// What the name of one directory in a cgroup path says, wherever it stands. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace keytrail::identify {

/// Ids of BuildKit's steps: 25 digits and lower-case letters. moby/buildkit identity/randomid.go.
[[nodiscard]] bool is_build_id(std::string_view text);

/// "docker-ID.scope", "cri-containerd-ID.scope", "crio-ID", "libpod-ID.scope", … → ID; not the monitors
/// ("libpod-conmon-ID.scope", "crio-conmon-ID.scope"). BuildKit's steps in dockerd are "docker-BUILD.scope".
[[nodiscard]] std::string_view container_of(std::string_view part);

/// Podman's own directory in a unit that starts one container (quadlet, --cgroups=split): "libpod-payload-ID" → ID.
[[nodiscard]] std::string_view payload_of(std::string_view part);

/// "kubepods-burstable-pod1234_….slice:cri-containerd:ID": systemd's form under the cgroupfs driver.
struct ColonForm {
  std::string_view slice, id;
};
[[nodiscard]] std::optional<ColonForm> colon_form(std::string_view part);

/// "kubepods", "kubepods.slice", "kubelet-kubepods.slice" (kubelet --cgroup-root).
[[nodiscard]] bool is_kubepods(std::string_view part);

/// "pod1234-…", "kubepods-burstable-pod1234_….slice", "kubelet-kubepods-pod….slice" → "1234-…"; of static
/// pods the 32 hex digits of their manifest's hash. Else empty.
[[nodiscard]] std::string pod_of(std::string_view part);

/// "ALLOCATION.TASK", "ALLOCATION.TASK.scope" → "ALLOCATION.TASK": a task of Nomad.
[[nodiscard]] std::string_view nomad_task_of(std::string_view part);

/// "machine-a\x2db.scope", "systemd-nspawn@a\x2db.service" → "a-b"; nothing for those of libvirt (machine-qemu…).
[[nodiscard]] std::string machine_of(std::string_view part);

/// Units whose programs make containers and pods below their own cgroup.
[[nodiscard]] bool is_runtime_unit(std::string_view unit);

}  // namespace keytrail::identify
