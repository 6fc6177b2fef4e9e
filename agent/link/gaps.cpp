// SPDX-License-Identifier: Apache-2.0
#include "agent/link/gaps.h"

#include <algorithm>
#include <utility>

namespace keytrail::link {

bool hides_keys(const Gap& gap) {
  if (gap.lost && *gap.lost == 0) return false;
  return gap.family != "request";
}

void CgroupOwners::note(std::uint64_t cgroup_id, std::uint64_t owner) {
  if (cgroup_id == 0) return;
  if (owner != 0)
    std::erase_if(stays_, [&](const Stay& stay) { return stay.owner == 0 && stay.cgroup_id == cgroup_id; });
  const auto known = [&](const Stay& stay) {
    return stay.owner == owner && (owner != 0 || stay.cgroup_id == cgroup_id);
  };
  if (std::ranges::any_of(stays_, known)) return;
  if (stays_.size() < kMost)
    stays_.push_back({cgroup_id, owner});
  else
    more_ = true;
}

bool CgroupOwners::may_include(std::uint64_t owner) const {
  return owner == 0 || more_ || stays_.empty() ||
         std::ranges::any_of(stays_, [&](const Stay& stay) { return stay.owner == 0 || stay.owner == owner; });
}

bool overlaps(std::span<const Gap> gaps, std::uint64_t from_ns, std::uint64_t to_ns, const CgroupOwners& in) {
  return std::ranges::any_of(gaps, [&](const Gap& gap) {
    return hides_keys(gap) && gap.from_ns <= to_ns && gap.to_ns >= from_ns && in.may_include(gap.owner);
  });
}

std::uint64_t first_overlap(std::span<const Gap> gaps, std::uint64_t from_ns, const CgroupOwners& in) {
  std::uint64_t first = 0;
  for (const Gap& gap : gaps) {
    if (!hides_keys(gap) || gap.to_ns < from_ns || !in.may_include(gap.owner)) continue;
    const std::uint64_t at = std::max<std::uint64_t>({gap.from_ns, from_ns, 1});
    if (first == 0 || at < first) first = at;
  }
  return first;
}

void GapList::add(Gap gap) {
  if (!hides_keys(gap)) return;
  if (gap.to_ns < gap.from_ns) std::swap(gap.from_ns, gap.to_ns);
  // One that goes on: exactly both.
  if (!gaps_.empty() && gaps_.back().family == gap.family && gaps_.back().owner == gap.owner &&
      gap.from_ns >= gaps_.back().from_ns && gap.from_ns <= gaps_.back().to_ns) {
    Gap& last = gaps_.back();
    last.to_ns = std::max(last.to_ns, gap.to_ns);
    last.lost = last.lost && gap.lost ? std::optional(*last.lost + *gap.lost) : std::nullopt;
    return;
  }
  if (gaps_.size() >= limit_) {
    gaps_[1].from_ns = std::min(gaps_[0].from_ns, gaps_[1].from_ns);
    gaps_[1].to_ns = std::max(gaps_[0].to_ns, gaps_[1].to_ns);
    gaps_[1].lost.reset();
    if (gaps_[0].owner != gaps_[1].owner) gaps_[1].owner = 0;
    gaps_.erase(gaps_.begin());
  }
  gaps_.push_back(std::move(gap));
}

}  // namespace keytrail::link
