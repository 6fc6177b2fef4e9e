// SPDX-License-Identifier: Apache-2.0
// The machine's clocks.
#pragma once

#include <cstdint>
#include <string_view>

#include "keytrail/clock.h"

namespace keytrail::base {

class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::uint64_t boot_ns() const override;
  [[nodiscard]] std::int64_t wall_ns() const override;
};

/// By how much CLOCK_BOOTTIME of this process is ahead of the kernel's, whose times are in the events: not 0 only in a
/// time namespace of its own. Where other processes live does not matter: all we read of them is in our own time.
[[nodiscard]] std::int64_t time_namespace_offset_ns();
/// The same from the text of /proc/self/timens_offsets.
[[nodiscard]] std::int64_t boot_offset_in(std::string_view text);

}  // namespace keytrail::base
