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

/// A period, ns since boot, ends included. `lost` 0 = the kernel's counters prove it empty; absent = unknown.
struct Gap {
  std::uint64_t from_ns = 0;
  std::uint64_t to_ns = 0;
  std::optional<std::uint64_t> lost;
  std::string family;  ///< empty = all
};

/// Could this gap hide a key's way into a process, or a process's start? Only exec, open, connect, name and lifetime
/// events can.
[[nodiscard]] bool hides_keys(const Gap& gap);

/// True when a gap that may hide something overlaps [from_ns, to_ns].
[[nodiscard]] bool overlaps(std::span<const Gap> gaps, std::uint64_t from_ns, std::uint64_t to_ns);

/// When the first such gap of a life that began at `from_ns` did or does so; 0 = never.
[[nodiscard]] std::uint64_t first_overlap(std::span<const Gap> gaps, std::uint64_t from_ns);

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
