// SPDX-License-Identifier: Apache-2.0
// Which way each hook family is attached: one table of alternatives, best first, and a pure function that chooses by
// what the kernel offers. No thread, no system call: tested without root.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/warden/loader.h"

namespace keytrail::warden {

/// What a kernel may or may not offer; found by trying. `--no-feature=NAME` takes one away.
enum class Feature : std::uint8_t {
  kTrampoline,   ///< fentry on kernel functions
  kKprobe,       ///< kprobes
  kTracepoint,   ///< per-system-call tracepoints (tracefs and perf events)
  kRdonlyCast,   ///< bpf_rdonly_cast (Linux 6.2): kernel memory by plain loads
  kBtfTrace,     ///< raw tracepoints with BTF types
  kIterator,     ///< iterators over tasks and files
  kCgroup,       ///< programs on the root of the cgroup v2 tree
  kCgroupUnix,   ///< cgroup/connect_unix (Linux 6.7)
  kUprobeMulti,  ///< one link for many places of a file (Linux 6.6): needs CAP_BPF and CAP_PERFMON only
  kUprobe,       ///< a perf event per place: since 2025's fixes it needs CAP_SYS_ADMIN
};
inline constexpr std::size_t kFeatures = 10;

/// "fentry", "kprobe", "tracepoint", "rdonly_cast", "tp_btf", "iter", "cgroup", "connect_unix", "uprobe_multi",
/// "uprobe".
[[nodiscard]] std::string_view to_string(Feature feature);

/// Per feature: empty = usable, else why it is not, for people.
using Features = std::array<std::string, kFeatures>;

/// Takes these away; `by` says who wants it ("--no-feature"). An unknown name is an error that lists the known ones.
[[nodiscard]] Result<void> disable(Features& features, std::span<const std::string> names, std::string_view by);

/// One way to attach a part of a family.
struct Alternative {
  Family family;
  std::string_view part;  ///< "open", "inet", "unix", …: of the alternatives of one part exactly one is used
  std::string_view name;  ///< "tracepoint sys_exit_openat"
  std::vector<Feature> needs;
  std::vector<std::string_view> programs;  ///< names in the skeleton
  std::string_view cost;                   ///< what it costs those that it does not concern
  std::string_view missing;                ///< what it does not see
  std::string_view lost;  ///< (last alternative of a part) what nobody sees when the part stays unarmed
  bool essential = true;  ///< without this part the family does not count as armed
};

/// All alternatives; those of one part stand together, best first.
[[nodiscard]] const std::vector<Alternative>& alternatives();

/// How programs get to targets that are found while running: the best way that works.
enum class TargetWay : std::uint8_t { kUprobeMulti, kUprobe, kNone };
struct TargetChoice {
  TargetWay way = TargetWay::kNone;
  std::string why;  ///< of kNone: why neither way works
};
[[nodiscard]] TargetChoice target_way(const Features& features);

struct Plan {
  std::vector<const Alternative*> chosen;
  std::vector<HookReport> reports;  ///< one per family, in the order of Family
};

/// Chooses the first alternative of each part whose features are usable. `refused`: alternatives (by name) that the
/// kernel turned down after the plan was made, with the reason.
[[nodiscard]] Plan plan(const Features& features, const std::map<std::string, std::string>& refused = {});

}  // namespace keytrail::warden
