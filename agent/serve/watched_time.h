// SPDX-License-Identifier: Apache-2.0
// Sums of watched time: when all hook families were watched at once, and what of a period was not. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "keytrail/history_reader.h"

namespace keytrail::serve {

/// [from, to), Unix ns.
struct Period {
  std::int64_t from_ns = 0, to_ns = 0;
  [[nodiscard]] bool empty() const { return from_ns >= to_ns; }
  bool operator==(const Period&) const = default;
};

/// When each of `families` (a bit each) was watched; by time, apart from each other. Spans may come in any order and
/// overlap (a clock that was set back).
[[nodiscard]] std::vector<Period> watched_by_all(std::span<const WatchedSpan> spans, std::uint32_t families);

/// What of a period lies outside of `watched` (by time, apart from each other).
[[nodiscard]] std::vector<Period> unwatched(Period asked, std::span<const Period> watched);

}  // namespace keytrail::serve
