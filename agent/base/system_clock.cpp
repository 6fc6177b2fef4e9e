// SPDX-License-Identifier: Apache-2.0
#include "agent/base/system_clock.h"

#include <sys/stat.h>

#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

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

std::int64_t boot_offset_in(std::string_view text) {
  std::istringstream lines{std::string(text)};
  std::string clock;
  std::int64_t seconds = 0, ns = 0;
  while (lines >> clock >> seconds >> ns) {
    if (clock == "boottime") return seconds * 1'000'000'000 + ns;
  }
  return 0;
}

std::int64_t time_namespace_offset_ns() {
  // The file tells of the namespace that children get: ours only where that is the same one.
  struct stat own{}, of_children{};
  if (::stat("/proc/self/ns/time", &own) != 0 || ::stat("/proc/self/ns/time_for_children", &of_children) != 0 ||
      own.st_ino != of_children.st_ino)
    return 0;
  std::ifstream file("/proc/self/timens_offsets");
  std::ostringstream text;
  text << file.rdbuf();
  return boot_offset_in(text.str());
}

}  // namespace keytrail::base
