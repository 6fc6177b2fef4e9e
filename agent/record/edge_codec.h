// SPDX-License-Identifier: Apache-2.0
// What stands in columns of an edge: the process instances as bytes, 16 each (tgid, start, exec; little-endian), newest
// last; words of readers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "keytrail/process.h"

namespace keytrail::record {

/// Of a reader: `detail` when its first acquisition was found by the sweep, `via` when earlier sessions are in its
/// sums.
inline constexpr char kBaseline[] = "baseline";
inline constexpr char kEarlier[] = "earlier";

[[nodiscard]] std::vector<std::uint8_t> pack_instances(const std::vector<InstanceId>& instances);
[[nodiscard]] std::vector<InstanceId> unpack_instances(std::span<const std::uint8_t> bytes);

}  // namespace keytrail::record
