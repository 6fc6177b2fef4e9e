// SPDX-License-Identifier: Apache-2.0
// How many unknown destinations are told apart: so many of one workload's program in a period, so that a crawler that
// holds a key does not flood the history. In: a place that was called. Out: whether it has a row of its own. Owned by
// Uses. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/lru_map.h"
#include "keytrail/destination.h"

namespace keytrail::link {

class Places {
 public:
  Places(std::size_t owners, std::size_t places, std::uint64_t period_s)
      : places_(places), period_ns_(period_s * 1'000'000'000U), owners_(owners) {}

  /// True when this place is among the first of its owner in the period, which begins with the first call after the
  /// end of the last.
  [[nodiscard]] bool admit(const std::string& owner, const Destination& place, std::uint64_t time_ns);

 private:
  struct Period {
    std::uint64_t from_ns = 0;
    std::vector<std::size_t> seen;  ///< hashes
  };
  std::size_t places_;
  std::uint64_t period_ns_;
  base::LruMap<std::string, Period> owners_;
};

}  // namespace keytrail::link
