// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/coverage.h"

#include <algorithm>
#include <chrono>
#include <compare>
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

#include "agent/base/log.h"
#include "agent/serve/concern.h"
#include "agent/serve/row_json.h"

namespace keytrail::serve {

namespace json = boost::json;

namespace {

constexpr std::size_t kMaxGaps = 10'000;  // remembered
constexpr std::size_t kMaxShown = 100;    // gaps, periods in one answer
constexpr int kMaxGapPages = 64;          // read for one answer
/// What happened so short a time ago may still be on its way into the history: a use waits up to 3 s for its key, what
/// was given up is summed for 5 s.
constexpr std::int64_t kOnItsWayNs = 10'000'000'000;

constexpr std::uint32_t needed_families() {
  std::uint32_t bits = 0;
  for (const FamilyEntry& one : kFamilyTable)
    if (!one.optional) bits |= 1U << static_cast<unsigned>(one.family);
  return bits;
}

/// Those that may become one.
struct GapKind {
  std::string_view cause, family, scope, detail;
  std::span<const std::string> kinds;

  friend std::weak_ordering operator<=>(const GapKind& a, const GapKind& b) {
    const auto words = [](const GapKind& one) { return std::tie(one.cause, one.family, one.scope, one.detail); };
    if (const auto order = words(a) <=> words(b); order != 0) return order;
    return std::lexicographical_compare_three_way(a.kinds.begin(), a.kinds.end(), b.kinds.begin(), b.kinds.end());
  }
  friend bool operator==(const GapKind& a, const GapKind& b) { return (a <=> b) == 0; }
};

bool overlaps(const GapRow& gap, Period period) {
  const std::int64_t from = std::min(gap.from_ns, gap.to_ns), to = std::max(gap.from_ns, gap.to_ns);
  return from < period.to_ns && (to > period.from_ns || (from == to && from >= period.from_ns));
}

}  // namespace

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void merge_nearest(std::vector<GapRow>& gaps, std::size_t most, bool across_scopes) {
  if (gaps.size() <= most) return;
  for (GapRow& gap : gaps)
    if (gap.from_ns > gap.to_ns) std::swap(gap.from_ns, gap.to_ns);
  const auto kind = [across_scopes](const GapRow& gap) {
    // Not `? "" : gap.scope`: that is a string of its own, and the view would outlive it.
    const std::string_view scope = across_scopes ? std::string_view() : std::string_view(gap.scope);
    const std::string_view detail = across_scopes ? std::string_view() : std::string_view(gap.detail);
    const std::span<const std::string> kinds(gap.kinds.begin(), across_scopes ? 0 : gap.kinds.size());
    return GapKind{gap.cause, gap.family, scope, detail, kinds};
  };
  std::ranges::sort(gaps, [&](const GapRow& a, const GapRow& b) {
    const auto order = kind(a) <=> kind(b);
    return order != 0 ? order < 0 : a.from_ns < b.from_ns;
  });
  // How much time that no gap covers would be covered, for each with the one before it.
  std::vector<std::int64_t> between;
  std::int64_t covered_to = 0;
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    const bool alike = i != 0 && kind(gaps[i - 1]) == kind(gaps[i]);
    if (alike) between.push_back(std::max<std::int64_t>(gaps[i].from_ns - covered_to, 0));
    covered_to = alike ? std::max(covered_to, gaps[i].to_ns) : gaps[i].to_ns;
  }
  if (between.empty()) return;
  const std::size_t last = std::min(gaps.size() - most, between.size()) - 1;
  std::ranges::nth_element(between, between.begin() + static_cast<std::ptrdiff_t>(last));
  const std::int64_t widest = between[last];
  std::vector<GapRow> out;
  for (GapRow& gap : gaps) {
    if (out.empty() || kind(out.back()) != kind(gap) || gap.from_ns - out.back().to_ns > widest) {
      out.push_back(std::move(gap));
      continue;
    }
    GapRow& into = out.back();
    into.to_ns = std::max(into.to_ns, gap.to_ns);
    into.lost = into.lost && gap.lost ? std::optional(*into.lost + *gap.lost) : std::nullopt;
    if (into.scope != gap.scope) into.scope.clear();
    if (into.detail != gap.detail) into.detail.clear();
    if (into.kinds != gap.kinds) into.kinds.clear();
    into.text = "Several gaps of this cause in this time.";
  }
  std::ranges::sort(out, {}, &GapRow::from_ns);
  gaps = std::move(out);
}

Result<void> CoverageSource::load_gaps() {
  HistoryFilter filter;
  filter.limit = std::min<std::size_t>(1000, max_rows_);
  filter.after_seq = gaps_read_;
  gaps_all_known_ = false;
  for (int page = 0; page < kMaxGapPages && !gaps_all_known_; ++page) {
    Result<Page<Row>> got = history_.rows(filter, RowKinds{false, false, false, true, false});
    if (!got) return std::unexpected(got.error());
    for (Row& row : got->items) {
      gaps_read_ = std::max(gaps_read_, row.seq);
      if (auto* gap = std::get_if<GapRow>(&row.body)) gaps_.push_back(std::move(*gap));
    }
    // To a half, so that it is not done for each gap.
    if (gaps_.size() > kMaxGaps) merge_nearest(gaps_, kMaxGaps / 2, false);
    if (gaps_.size() > kMaxGaps) merge_nearest(gaps_, kMaxGaps / 2, true);
    filter.after_seq = gaps_read_ = std::max(gaps_read_, got->next);
    gaps_all_known_ = got->next == 0;
  }
  return {};
}

CoverageSource::Watch CoverageSource::watch() {
  Watch out;
  const Result<HistoryStatus> history = history_.status();
  const Result<std::vector<WatchedSpan>> spans = history_.watched();
  const Result<void> gaps_read = load_gaps();
  if (!history || !spans || !gaps_read) {
    out.problem = (!history ? history.error() : !spans ? spans.error() : gaps_read.error()).message;
    return out;
  }
  out.problem = history->error;
  out.kept_since_ns = history->kept_since_ns;
  out.periods = watched_by_all(*spans, needed_families());
  return out;
}

Coverage CoverageSource::of(const HistoryFilter& filter, bool living) {
  const AgentStatus agent = status_.status();
  const Watch watch = this->watch();
  const std::int64_t now = now_ns();
  std::set<std::string_view> why;

  json::array families, not_armed, fallbacks;
  bool blind = agent.families.empty();
  for (const FamilyStatus& family : agent.families) {
    const HookReport& hook = family.hook;
    const bool armed = hook.armed() && !family.silent;
    (armed ? families : not_armed).emplace_back(to_string(hook.family));
    if (armed && hook.sees_less)  // a fallback that sees all that the best way sees costs no answer anything
      fallbacks.push_back(json::object{{"family", to_string(hook.family)},
                                       {"uses", base::printable(hook.chosen)},
                                       {"missing", base::printable(hook.missing)}});
    blind = blind || (!armed && !entry_of(hook.family).optional);
  }
  if (!watch.problem.empty()) why.insert("history_error");

  // The period. Its last moments may still be on their way: then it ends where all is stored.
  const std::int64_t begin = std::max(watch.kept_since_ns, watch.periods.empty() ? now : watch.periods.front().from_ns);
  Period period{filter.from_ns == 0 ? begin : filter.from_ns, filter.to_ns == 0 ? now : std::min(filter.to_ns, now)};
  if (filter.from_ns != 0 && filter.to_ns != 0 && filter.from_ns > filter.to_ns) why.insert("from_after_to");
  const bool present = period.to_ns > now - kOnItsWayNs;
  if (present && blind) why.insert("hook_not_armed");
  if (present && watch.end_ns() < now - kOnItsWayNs) why.insert("unsaved");
  if (present && watch.end_ns() >= now - kOnItsWayNs) period.to_ns = std::min(period.to_ns, watch.end_ns());

  json::array holes, gaps;
  std::size_t overlapping = 0;
  std::uint64_t lost = 0;
  bool lost_known = true;
  std::map<std::string, std::uint64_t> unread;  // key files, by why
  Concern concern(history_, catalog_, filter);
  if (!living) {
    if (watch.periods.empty() || (filter.from_ns != 0 && period.empty() && !why.contains("from_after_to")))
      why.insert("not_watched");
    for (const Period& hole : unwatched(period, watch.periods)) {
      const bool before = hole.from_ns < begin;
      const char* const reason = !before ? "not_watched" : watch.kept_since_ns >= begin ? "evicted" : "before_history";
      why.insert(reason);
      if (holes.size() < kMaxShown)
        holes.push_back(
            json::object{{"from", time_or_null(hole.from_ns)}, {"to", time_or_null(hole.to_ns)}, {"why", reason}});
    }
    if (period.from_ns < watch.kept_since_ns && watch.kept_since_ns != 0) why.insert("evicted");
    if (filter.from_ns == 0 && filter.to_ns != 0 && filter.to_ns <= begin) why.insert("before_history");
    if (!gaps_all_known_) why.insert("gaps_not_all_known");
    for (const GapRow& gap : gaps_) {
      // What was before the beginning is not watched, and that is said already.
      if (gap.cause == "baseline" || !overlaps(gap, period) || !concern.with(gap)) continue;
      ++overlapping;
      if (gap.lost) lost += *gap.lost;
      lost_known = lost_known && gap.lost;
      if (gap.cause == kFilesUnread) unread[gap.detail] += gap.lost.value_or(1);
      if (!gap.lost || *gap.lost != 0) why.insert("gap");  // one that the counters prove empty hides nothing
      if (gaps.size() < kMaxShown) gaps.push_back(to_json(gap));
    }
  }

  json::object files_unread;
  for (const auto& [reason, count] : unread)
    files_unread[base::printable(reason)] = count;

  Coverage out;
  out.complete = why.empty();
  json::array reasons;
  for (const std::string_view one : why)
    reasons.emplace_back(one);
  out.json = {{"scope", base::printable(agent.host)},
              {"asked_from", time_or_null(filter.from_ns)},
              {"asked_to", time_or_null(filter.to_ns)},
              {"from", time_or_null(std::max(period.from_ns, begin))},
              {"to", time_or_null(period.to_ns)},
              {"why", std::move(reasons)},
              {"unwatched", std::move(holes)},
              {"gaps", std::move(gaps)},
              {"gaps_total", overlapping},
              {"lost", lost_known ? json::value(lost) : json::value()},
              {"files_unread", std::move(files_unread)},
              {"families", std::move(families)},
              {"not_armed", std::move(not_armed)},
              {"fallbacks", std::move(fallbacks)},
              {"nodes", {{"asked", 1}, {"answered", 1}}}};
  return out;
}

}  // namespace keytrail::serve
