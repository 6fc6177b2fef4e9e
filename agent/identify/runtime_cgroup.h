// SPDX-License-Identifier: Apache-2.0
// Where a container runtime puts a container, by its own state, beside where the kernel sees it. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace keytrail::identify {

/// The directory that `linux.cgroupsPath` of an OCI bundle means: "/kubepods/pod1/ID" as it is;
/// "kubepods-pod1.slice:cri-containerd:ID" → "/kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope" (runc
/// libcontainer/cgroups/systemd, ExpandSlice). Empty where it means none.
[[nodiscard]] std::string directory_of_bundle(std::string_view cgroups_path);

/// Whether a cgroup is the container's: it is that directory or lies below it, and the directory names the container.
/// Of what is no path from the root (the colon form without systemd, `--cgroup-parent NAME`): the directory below the
/// root or a unit of the machine's.
[[nodiscard]] bool is_in_bundle(std::string_view cgroup, std::string_view cgroups_path, std::string_view container);

}  // namespace keytrail::identify
