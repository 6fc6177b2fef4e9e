// SPDX-License-Identifier: Apache-2.0
#include "agent/base/system_clock.h"

#include <ctime>

namespace keytrail::base {
namespace {

std::int64_t now(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

std::uint64_t SystemClock::boot_ns() const { return static_cast<std::uint64_t>(now(CLOCK_BOOTTIME)); }
std::int64_t SystemClock::wall_ns() const { return now(CLOCK_REALTIME); }

}  // namespace keytrail::base
