// SPDX-License-Identifier: Apache-2.0
#include "agent/link/places.h"

#include <algorithm>
#include <functional>

namespace keytrail::link {

bool Places::admit(const std::string& owner, const Destination& place, std::uint64_t time_ns) {
  const auto [period, fresh] = owners_.get(owner);
  if (fresh || time_ns >= period->from_ns + period_ns_) *period = {.from_ns = time_ns, .seen = {}};
  const std::string& host = place.host.empty() ? place.address : place.host;
  const std::size_t hash = std::hash<std::string>{}(host + ' ' + std::to_string(place.port));
  if (std::ranges::find(period->seen, hash) != period->seen.end()) return true;
  if (period->seen.size() >= places_) return false;
  period->seen.push_back(hash);
  return true;
}

}  // namespace keytrail::link
