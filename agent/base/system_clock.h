// SPDX-License-Identifier: Apache-2.0
// The machine's clocks.
#pragma once

#include "keytrail/clock.h"

namespace keytrail::base {

class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::uint64_t boot_ns() const override;
  [[nodiscard]] std::int64_t wall_ns() const override;
};

}  // namespace keytrail::base
