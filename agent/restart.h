// SPDX-License-Identifier: Apache-2.0
// Which periods a worker that begins has to tell of: nobody watched, or what was seen was lost. One pure function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace keytrail {

/// What a worker knows when it begins. Times are ns since boot.
struct Beginning {
  std::uint64_t now_ns = 0;
  std::uint64_t armed_ns = 0;    ///< the hooks that run now: since when
  std::uint64_t settled_ns = 0;  ///< all that was seen before is in the history; 0: not known, or of another boot
  std::uint64_t ended_ns = 0;    ///< when the last batch was stored, by the wall clock; 0: none, or before this boot
  bool has_past = false;         ///< the history holds a batch
  /// A worker before this one stored a batch of what came through these rings.
  bool same_rings = false;
  bool later_life = false;                ///< another worker of this warden ran before
  bool resumed = false;                   ///< the rings are those of a warden that was killed
  std::uint64_t beat_ns = 0;              ///< resumed: that warden's newest heartbeat; 0: none is known
  std::uint64_t read_after = 0;           ///< resumed: events of its hooks that nobody had read
  std::optional<std::uint64_t> lost = 0;  ///< events that were taken from the rings and never stored; absent: not known
  std::uint64_t untold = 0;               ///< what the worker before this one had given up, and no row says it
};

struct RestartGap {
  std::uint64_t from_ns = 0;
  std::uint64_t to_ns = 0;
  const char* cause = "";             ///< GapRow::cause
  std::optional<std::uint64_t> lost;  ///< absent: not known
  std::string text;                   ///< one sentence, or empty
};

struct Restart {
  std::vector<RestartGap> gaps;
  /// Since when time is watched, but for the gaps.
  std::uint64_t watched_ns = 0;
};

/// Within one warden's life the rings kept what came, and what the worker before this one took is counted: an exact
/// gap. Between two wardens no hook was there: that gap begins at the last heartbeat of the old ones, since they go one
/// after the other when a warden is killed, while a worker may still note that nothing came; where nothing is known of
/// them, or only of later ones, at what is settled.
[[nodiscard]] Restart begin_again(const Beginning& beginning);

}  // namespace keytrail
