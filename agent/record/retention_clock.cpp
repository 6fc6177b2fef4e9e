// SPDX-License-Identifier: Apache-2.0
#include "agent/record/retention_clock.h"

#include <fmt/format.h>

#include <sstream>

namespace keytrail::record {

std::optional<RetentionClock> RetentionClock::parse(std::string_view text) {
  RetentionClock out;
  std::istringstream in{std::string(text)};
  in >> out.time_ns_ >> out.boot_ns_ >> out.lead_ns_ >> out.stood_ns_;
  if (!in || out.time_ns_ <= 0 || out.lead_ns_ < 0 || out.stood_ns_ < 0) return std::nullopt;
  in >> out.boot_id_;  // not known everywhere
  return out;
}

std::string RetentionClock::text() const {
  return fmt::format("{} {} {} {} {}", time_ns_, boot_ns_, lead_ns_, stood_ns_, boot_id_);
}

}  // namespace keytrail::record
