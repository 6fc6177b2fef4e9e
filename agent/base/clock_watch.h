// SPDX-License-Identifier: Apache-2.0
// Notices that the wall clock was set: it and the time since boot go on together, unless somebody (a person, NTP at its
// start, a resumed snapshot) sets it. Pure. Thread: one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "keytrail/row.h"

namespace keytrail::base {

class ClockWatch {
 public:
  /// Less is not told; what adds up to it is.
  static constexpr std::int64_t kStepNs = 1'000'000'000;

  ClockWatch(std::uint64_t boot_ns, std::int64_t wall_ns) : offset_ns_(apart(boot_ns, wall_ns)), last_ns_(wall_ns) {}

  /// Now by both clocks; at least once a second. The gap of a step: from the last look to this one, or where it was set
  /// back the time that comes twice. Its times are in doubt, so what was lost is not known.
  std::optional<GapRow> look(std::uint64_t boot_ns, std::int64_t wall_ns) {
    const std::int64_t offset = apart(boot_ns, wall_ns);
    const std::int64_t by = offset - offset_ns_;
    const std::int64_t before = last_ns_;
    last_ns_ = wall_ns;
    if (by <= kStepNs && by >= -kStepNs) return std::nullopt;
    offset_ns_ = offset;
    GapRow gap;
    gap.cause = "clock_step";
    gap.from_ns = std::min(before, wall_ns);
    gap.to_ns = std::max(before, wall_ns);
    gap.text = "The clock of the machine was set " + std::string(by > 0 ? "forward" : "back") + " by " + seconds(by) +
               " s: times before it and after it do not compare";
    return gap;
  }

 private:
  static std::int64_t apart(std::uint64_t boot_ns, std::int64_t wall_ns) {
    return wall_ns - static_cast<std::int64_t>(boot_ns);
  }
  /// To a tenth, without its sign.
  static std::string seconds(std::int64_t ns) {
    const std::int64_t tenths = (ns < 0 ? -ns : ns) / 100'000'000;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
  }

  std::int64_t offset_ns_;  ///< wall less boot, as it was told last
  std::int64_t last_ns_;    ///< Unix ns of the last look
};

}  // namespace keytrail::base
