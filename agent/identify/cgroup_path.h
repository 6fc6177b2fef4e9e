// SPDX-License-Identifier: Apache-2.0
// What a cgroup path says about the workload. Pure; any thread.
// Who may make a cgroup there decides what is believed: the walk goes from the root and the first owner ends it. Root
// and systemd make slices and units, kubelet the kubepods tree, runtimes their containers. What a unit, a container or
// a user makes below its own cgroup is its own affair: a directory named like a pod there, or anywhere but in the
// kubepods tree, is a plain cgroup. Containers that are machines of their own (a node of kind, LXC, Docker in Docker)
// have containers of theirs: the innermost is told, claimed, with the outermost beside it. Where root has given a
// directory to somebody else (delegation), the names below it are that one's word, whatever they are: the kernel tells
// how many of a path's are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "keytrail/workload.h"

namespace keytrail::identify {

struct CgroupPlace {
  WorkloadKind kind = WorkloadKind::kHost;  ///< kHost, kSystemdUnit, kContainer, kPod or kLoginSession
  KnownBy known_by = KnownBy::kKernel;      ///< kClaimed where a user's own manager made it
  /// The runtime's id, usually 64 hex digits, of the innermost container; of a unit: the one that it starts, claimed.
  std::string container;
  std::string pod_uid;              ///< lower case with dashes; static pods: 32 hex digits, the hash of their manifest
  std::string unit;                 ///< systemd service or scope
  std::uint32_t user = UINT32_MAX;  ///< of the user slice, or whoever made what kClaimed says
  std::string runtime;  ///< lxc, nspawn, nomad, buildkit: whose names are unique among their own only; else empty
  std::string outer_container;  ///< the outermost one in which the container runs, named by root's runtime; or empty
  std::string outer_pod;        ///< that one's
  std::string outer_runtime;    ///< that one's, as `runtime`
  std::size_t length = 0;       ///< bytes of the path down to the directory that makes the workload; 0: all of it

  bool operator==(const CgroupPlace&) const = default;
};

/// Who gave the names of a path.
struct CgroupMakers {
  std::size_t claimed = 0;  ///< the last so many components are not root's (CgroupEvent)
  std::uint32_t owner = 0;  ///< whose they are
  bool known = true;        ///< false: the path is from /proc, which does not say
  bool operator==(const CgroupMakers&) const = default;
};

/// `path`: as the kernel names it, from the root of the hierarchy (v1 or v2): "/system.slice/cron.service". Leading
/// "/.." of a foreign cgroup namespace are ignored. A path that does not begin with '/' has lost its beginning: a plain
/// cgroup. Sources: kubelet pkg/kubelet/cm/pod_container_manager_linux.go; systemd docs/CGROUP_DELEGATION.md; runc
/// libcontainer/cgroups/systemd.
[[nodiscard]] CgroupPlace parse_cgroup_path(std::string_view path);

/// The same, of which only what root has named is believed: a unit or container that rests on other names is kClaimed
/// and its owner's, and a pod or session that does is a plain cgroup.
[[nodiscard]] CgroupPlace parse_cgroup_path(std::string_view path, const CgroupMakers& makers);

/// Who may make cgroups makes them in a directory of his own (a pod, a user's manager, what root gave away): the first
/// three directories, of which none is below what root gave away. Nobody gains by making many.
[[nodiscard]] std::string_view directory_of_owner(std::string_view path, std::size_t claimed);

/// The most telling path of /proc/PID/cgroup (cgroups(7)): v1, v2 and hybrid. "/" when nothing is there.
[[nodiscard]] std::string choose_cgroup_path(std::string_view proc_pid_cgroup);

}  // namespace keytrail::identify
