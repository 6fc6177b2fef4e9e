// SPDX-License-Identifier: Apache-2.0
// Periods in which events may be missing, as the closed world needs them. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "keytrail/event.h"

namespace keytrail::link {

/// In whose cgroups a process was since its program began (Process::cgroup_owner). One that is moved about by its owner
/// stays there; so a loss in his cgroups can be of processes that were in one of them, and of no other.
class CgroupOwners {
 public:
  static constexpr std::size_t kMost = 8;  ///< of more: anybody's

  /// It is in this cgroup now; 0: nobody has said yet in which. `owner` 0: not known yet.
  void note(std::uint64_t cgroup_id, std::uint64_t owner);
  /// Whether it may have been in a cgroup of this owner's; 0: anybody's.
  [[nodiscard]] bool may_include(std::uint64_t owner) const;

 private:
  struct Stay {
    std::uint64_t cgroup_id = 0, owner = 0;
  };
  std::vector<Stay> stays_;  ///< one for each owner; empty: nothing is known
  bool more_ = false;
};

/// A period, ns since boot, ends included. `lost` 0 = the kernel's counters prove it empty; absent = unknown.
struct Gap {
  std::uint64_t from_ns = 0;
  std::uint64_t to_ns = 0;
  std::optional<std::uint64_t> lost;
  std::string family;       ///< empty = all
  std::uint64_t owner = 0;  ///< in whose cgroups (Process::cgroup_owner); 0 = anybody's
};

/// Could this gap hide a key's way into a process, or a process's start? Only exec, open, connect, name and lifetime
/// events can.
[[nodiscard]] bool hides_keys(const Gap& gap);

/// True when a gap that may hide something of a process that was in these cgroups overlaps [from_ns, to_ns].
[[nodiscard]] bool overlaps(std::span<const Gap> gaps, std::uint64_t from_ns, std::uint64_t to_ns,
                            const CgroupOwners& in);

/// When the first such gap of a life that began at `from_ns` did or does so; 0 = never.
[[nodiscard]] std::uint64_t first_overlap(std::span<const Gap> gaps, std::uint64_t from_ns, const CgroupOwners& in);

/// The gaps of this agent's life. When it is full, the two oldest become one that covers both: never less than what was
/// missed.
class GapList {
 public:
  explicit GapList(std::size_t limit) : limit_(limit < 2 ? 2 : limit) {}
  void add(Gap gap);
  [[nodiscard]] std::span<const Gap> all() const { return gaps_; }

 private:
  std::size_t limit_;
  std::vector<Gap> gaps_;
};

/// What of this node was watched: by which families, since when, with which gaps. Set by Engine; read by whoever weighs
/// a claim.
struct Watch {
  explicit Watch(std::size_t max_gaps) : gaps(max_gaps) {}
  std::array<bool, kFamilies> armed{};
  std::uint64_t armed_ns = 0;  ///< ns since boot; an exec before it was not seen; 0 = not known
  bool swept = false;          ///< whoever lived when the worker began was looked at
  bool news = false;           ///< a gap that the stored lives do not know yet
  GapList gaps;
};

}  // namespace keytrail::link
