// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/coverage.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "agent/base/log.h"
#include "agent/serve/row_json.h"

namespace keytrail::serve {

namespace json = boost::json;

namespace {

constexpr std::size_t kMaxGaps = 10'000;    // remembered
constexpr std::size_t kMaxGapsShown = 100;  // in one answer
constexpr int kMaxGapPages = 64;            // read for one answer

}  // namespace

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<void> CoverageSource::load_gaps() {
  HistoryFilter filter;
  filter.limit = std::min<std::size_t>(1000, max_rows_);
  filter.after_seq = gaps_.empty() ? 0 : gaps_.rbegin()->first;
  for (int page = 0; page < kMaxGapPages; ++page) {
    Result<Page<Row>> got = history_.rows(filter, RowKinds{false, false, false, true, false});
    if (!got) return std::unexpected(got.error());
    for (Row& row : got->items) {
      if (auto* gap = std::get_if<GapRow>(&row.body)) gaps_.insert_or_assign(row.seq, std::move(*gap));
    }
    for (; gaps_.size() > kMaxGaps; gaps_forgotten_ = true)
      gaps_.erase(gaps_.begin());
    if (got->next == 0) return {};
    filter.after_seq = got->next;
  }
  return {};
}

Coverage CoverageSource::of(const HistoryFilter& filter, bool with_gaps) {
  const AgentStatus agent = status_.status();
  const Result<HistoryStatus> history = history_.status();
  const Result<void> gaps_read = load_gaps();
  const std::int64_t now = now_ns();
  std::int64_t oldest = history ? history->oldest_ns : 0;
  if (oldest == 0) oldest = agent.armed_since_ns != 0 ? agent.armed_since_ns : now;
  const std::int64_t from = filter.from_ns == 0 ? oldest : std::max(filter.from_ns, oldest);
  const std::int64_t to = filter.to_ns == 0 ? now : std::min(filter.to_ns, now);

  Coverage out;
  out.complete = history && history->error.empty() && gaps_read && (!gaps_forgotten_ || !with_gaps) &&
                 agent.armed_since_ns != 0 && (filter.from_ns == 0 || filter.from_ns >= oldest);
  json::array families, not_armed, fallbacks, gaps;
  for (const FamilyStatus& family : agent.families) {
    const HookReport& hook = family.hook;
    const bool armed = hook.armed() && !family.silent;
    (armed ? families : not_armed).emplace_back(to_string(hook.family));
    if (armed && hook.sees_less)  // a fallback that sees all that the best way sees costs no answer anything
      fallbacks.push_back(json::object{{"family", to_string(hook.family)},
                                       {"uses", base::printable(hook.chosen)},
                                       {"missing", base::printable(hook.missing)}});
    if (!armed && !entry_of(hook.family).optional) out.complete = false;
  }
  if (agent.families.empty()) out.complete = false;
  std::uint64_t lost = 0;
  bool lost_known = true;
  std::size_t overlapping = 0;
  for (const auto& [seq, gap] : gaps_) {
    if (!with_gaps || gap.to_ns < from || gap.from_ns >= to) continue;
    ++overlapping;
    if (gap.lost) lost += *gap.lost;
    lost_known = lost_known && gap.lost;
    if (!gap.lost || *gap.lost != 0) out.complete = false;  // a gap that the counters prove empty hides nothing
    if (gaps.size() < kMaxGapsShown) gaps.push_back(to_json(gap));
  }
  out.json = {{"scope", base::printable(agent.host)},
              {"from", time_or_null(from)},
              {"to", time_or_null(to)},
              {"gaps", std::move(gaps)},
              {"gaps_total", overlapping},
              {"lost", lost_known ? json::value(lost) : json::value()},
              {"families", std::move(families)},
              {"not_armed", std::move(not_armed)},
              {"fallbacks", std::move(fallbacks)},
              {"nodes", {{"asked", 1}, {"answered", 1}}}};
  return out;
}

}  // namespace keytrail::serve
