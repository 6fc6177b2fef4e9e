// SPDX-License-Identifier: Apache-2.0
// The process instances of an edge as bytes: 16 each (tgid, start, exec; little-endian), newest last.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "keytrail/process.h"

namespace keytrail::record {

[[nodiscard]] std::vector<std::uint8_t> pack_instances(const std::vector<InstanceId>& instances);
[[nodiscard]] std::vector<InstanceId> unpack_instances(std::span<const std::uint8_t> bytes);

}  // namespace keytrail::record
