// SPDX-License-Identifier: Apache-2.0
#include "agent/link/ledger.h"

#include <algorithm>
#include <utility>

namespace keytrail::link {

void Ledger::give_up(GivenUp what) {
  if (what.count == 0) return;
  Name name{std::move(what.cause), std::move(what.family), std::move(what.scope), std::move(what.detail),
            std::move(what.kinds)};
  if (entries_.size() >= max_entries_ && !entries_.contains(name)) {
    std::get<2>(name).clear();
    std::get<3>(name).clear();
    std::get<4>(name).clear();
  }
  Entry& entry = entries_[std::move(name)];
  if (entry.count == 0) {
    entry.first_ns = what.first_ns;
    entry.last_ns = what.last_ns;
  }
  entry.first_ns = std::min(entry.first_ns, what.first_ns);
  entry.last_ns = std::max(entry.last_ns, what.last_ns);
  entry.count += what.count;
}

std::vector<GivenUp> Ledger::take(std::uint64_t now_ns, bool all) {
  std::vector<GivenUp> out;
  for (auto at = entries_.begin(); at != entries_.end();) {
    auto& [name, entry] = *at;
    if (!all && now_ns < entry.next_ns) {
      ++at;
      continue;
    }
    if (entry.count == 0) {  // nothing more came
      at = entries_.erase(at);
      continue;
    }
    const auto& [cause, family, scope, detail, kinds] = name;
    out.push_back({cause, family, scope, detail, kinds, entry.count, entry.first_ns, entry.last_ns});
    entry = {.next_ns = now_ns + kEveryNs};
    ++at;
  }
  return out;
}

std::uint64_t Ledger::oldest_ns() const {
  std::uint64_t oldest = 0;
  for (const auto& [name, entry] : entries_) {
    if (entry.count != 0 && (oldest == 0 || entry.first_ns < oldest)) oldest = entry.first_ns;
  }
  return oldest;
}

std::uint64_t Ledger::untold() const {
  std::uint64_t sum = 0;
  for (const auto& [name, entry] : entries_)
    sum += entry.count;
  return sum;
}

}  // namespace keytrail::link
