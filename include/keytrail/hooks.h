// SPDX-License-Identifier: Apache-2.0
// How a hook family is armed: decided by the warden's plan, sent to the worker as role::Hook, shown by `status` and
// `doctor`. The two forms in which a report travels (between roles, and as the text of `keytrail-warden --plan`) are
// in hooks_wire.h.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "keytrail/event.h"

namespace keytrail {

/// What of the kernel the hooks may use, as `hooks.disable` and --no-feature name it; the order is warden's Feature.
inline constexpr std::array<std::string_view, 10> kHookFeatures{"fentry",       "kprobe", "tracepoint", "rdonly_cast",
                                                                "tp_btf",       "iter",   "cgroup",     "connect_unix",
                                                                "uprobe_multi", "uprobe"};

struct HookReport {
  struct Refused {
    std::string name, why;
  };
  Family family = Family::kExec;
  std::string chosen;            ///< "tracepoint sys_exit_openat"; empty: the family is not armed
  std::string cost;              ///< "every system call +20 ns"
  std::string missing;           ///< what this way does not see; empty: nothing
  bool sees_less = false;        ///< than the best ways: not every fallback loses something
  std::vector<Refused> refused;  ///< better ways and why they are not used

  [[nodiscard]] bool armed() const { return !chosen.empty(); }
};

/// Places in an executable or library at which a family's programs run as long as they are attached there.
struct HookTarget {
  Family family = Family::kRequest;
  std::vector<std::uint64_t> offsets;  ///< bytes from the file's beginning; 1 to role::kMaxTargetOffsets
  std::uint32_t pid = 0;               ///< only in this process; 0: wherever the file is mapped
};

/// What became of a target.
struct TargetReport {
  enum class State : std::uint8_t {
    kAttached,
    kRefused,   ///< `text` says why
    kDetached,  ///< as it was asked
    kDropped,   ///< its process ended, or its file is gone
  };
  State state = State::kAttached;
  std::uint32_t id = 0;  ///< 0 when it was refused
  Family family = Family::kRequest;
  std::uint64_t hits = 0;  ///< runs of the family's program there since it was attached
  std::string text;
};

struct TargetCounts {
  std::uint32_t attached = 0;    ///< now
  std::uint32_t bound = 0;       ///< at most so many at once
  std::uint64_t over_bound = 0;  ///< refused for that
  std::uint64_t refused = 0;     ///< for any other reason
  std::uint64_t dropped = 0;
};

}  // namespace keytrail
