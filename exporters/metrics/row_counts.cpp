// SPDX-License-Identifier: Apache-2.0
#include "exporters/metrics/row_counts.h"

#include <algorithm>
#include <cstring>

namespace keytrail::metrics {
namespace {

constexpr std::size_t kPage = 1000;

/// Kind and class of the keys a use may have used, where all agree.
void put_keys(MetricLabels& labels, const std::vector<Candidate>& keys) {
  const auto same = [&](auto of) {
    return std::ranges::all_of(keys, [&](const Candidate& one) { return of(one) == of(keys.front()); });
  };
  if (keys.empty()) return;
  labels.emplace_back("keytrail.key.kind",
                      same([](const Candidate& one) { return one.key.kind; }) ? keys.front().key.kind : "several");
  labels.emplace_back("keytrail.key.class", same([](const Candidate& one) { return one.key.key_class; })
                                                ? to_string(keys.front().key.key_class)
                                                : "several");
}

}  // namespace

bool Series::Less::operator()(const MetricLabels& a, const MetricLabels& b) const {
  return std::ranges::lexicographical_compare(a, b, [](const auto& one, const auto& other) {
    const int names = std::strcmp(one.first, other.first);
    return names != 0 ? names < 0 : one.second < other.second;
  });
}

void Series::add(MetricLabels labels, std::uint64_t count) {
  std::erase_if(labels, [](const auto& label) { return label.second.empty(); });
  if (const auto known = counts_.find(labels); known != counts_.end()) {
    known->second += count;
  } else if (counts_.size() < max_) {
    counts_.emplace(std::move(labels), count);
  } else {
    overflow_ += count;
  }
}

std::vector<MetricPoint> Series::points() const {
  std::vector<MetricPoint> out;
  out.reserve(counts_.size() + 1);
  for (const auto& [labels, count] : counts_)
    out.push_back({.labels = labels, .value = static_cast<double>(count)});
  if (overflow_ > 0) out.push_back({.labels = {}, .value = static_cast<double>(overflow_), .overflow = true});
  return out;
}

void RowCounts::catch_up(HistoryReader& history) {
  HistoryFilter filter;
  filter.limit = kPage;
  for (;;) {
    filter.after_seq = after_;
    const auto page = history.rows(filter, {});
    if (!page) return;
    for (const Row& row : page->items) {
      add(row);
      after_ = std::max(after_, row.seq);
    }
    if (page->next == 0) return;
  }
}

void RowCounts::add(const Row& row) {
  if (const auto* use = std::get_if<UseRow>(&row.body)) {
    MetricLabels labels;
    put_keys(labels, use->keys);
    labels.emplace_back("keytrail.evidence", to_string(use->evidence));
    labels.emplace_back("keytrail.destination.provider", use->destination.provider);
    labels.emplace_back("keytrail.outcome", to_string(use->outcome));
    uses_.add(std::move(labels), use->requests.value_or(use->connections));
  } else if (const auto* acquisition = std::get_if<AcquisitionRow>(&row.body)) {
    acquisitions_.add({{"keytrail.key.kind", acquisition->key.kind},
                       {"keytrail.key.class", to_string(acquisition->key.key_class)},
                       {"keytrail.key.from", to_string(acquisition->slot.from)}},
                      1);
  } else if (const auto* finding = std::get_if<FindingRow>(&row.body)) {
    findings_.add(
        {{"keytrail.finding.type", finding->type}, {"keytrail.finding.severity", to_string(finding->severity)}}, 1);
  } else if (const auto* gap = std::get_if<GapRow>(&row.body)) {
    gaps_.add({{"keytrail.gap.cause", gap->cause}, {"keytrail.gap.family", gap->family}}, 1);
  }
}

void RowCounts::put(std::vector<Metric>& out) const {
  const auto counter = [&](const char* name, const char* unit, const char* help, const Series& series) {
    out.push_back({.name = name, .unit = unit, .help = help, .start_ns = start_ns_, .points = series.points()});
  };
  counter("keytrail.uses", "{use}", "Uses of keys: requests where they are seen, else connections.", uses_);
  counter("keytrail.acquisitions", "{acquisition}", "Keys that crossed a boundary into a process, where that was news.",
          acquisitions_);
  counter("keytrail.findings", "{finding}", "Findings.", findings_);
  counter("keytrail.gaps", "{gap}", "Periods in which something may be missing.", gaps_);
}

}  // namespace keytrail::metrics
