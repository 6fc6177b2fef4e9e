// SPDX-License-Identifier: Apache-2.0
// Port: time. Kernel events carry ns since boot; everything that is shown or stored is Unix ns.
#pragma once

#include <cstdint>

namespace keytrail {

class Clock {
 public:
  virtual ~Clock() = default;
  /// CLOCK_BOOTTIME, ns.
  [[nodiscard]] virtual std::uint64_t boot_ns() const = 0;
  /// CLOCK_REALTIME, ns since 1970.
  [[nodiscard]] virtual std::int64_t wall_ns() const = 0;
  /// The wall time of a moment given in ns since boot, with the offset between the clocks as it is now. Any moment: a
  /// wrong one of a record gives a wrong time, no overflow.
  [[nodiscard]] std::int64_t to_wall(std::uint64_t at_boot_ns) const {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(wall_ns()) - boot_ns() + at_boot_ns);
  }
};

}  // namespace keytrail
