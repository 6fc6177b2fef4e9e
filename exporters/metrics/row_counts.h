// SPDX-License-Identifier: Apache-2.0
// Counts the rows of the history by what they say, since the worker started: uses, acquisitions, findings, gaps. It
// reads the rows that are new when it is asked, so a row is counted once, and costs nothing while nobody asks. One
// thread at a time; the caller locks.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "keytrail/history_reader.h"
#include "keytrail/metrics.h"

namespace keytrail::metrics {

/// Series of one metric, at most `max`; what comes beyond is summed in one overflow point.
class Series {
 public:
  static constexpr std::size_t kMax = 500;
  explicit Series(std::size_t max = kMax) : max_(max) {}
  void add(MetricLabels labels, std::uint64_t count);
  [[nodiscard]] std::vector<MetricPoint> points() const;

 private:
  struct Less {
    bool operator()(const MetricLabels& a, const MetricLabels& b) const;
  };
  std::size_t max_;
  std::map<MetricLabels, std::uint64_t, Less> counts_;
  std::uint64_t overflow_ = 0;
};

class RowCounts {
 public:
  /// Counts rows after `after_seq`. `start_ns`: now, Unix ns.
  RowCounts(std::uint64_t after_seq, std::int64_t start_ns) : after_(after_seq), start_ns_(start_ns) {}
  /// Reads the rows that are new. When the history cannot be read they are counted the next time.
  void catch_up(HistoryReader& history);
  void add(const Row& row);
  void put(std::vector<Metric>& out) const;

 private:
  std::uint64_t after_;
  std::int64_t start_ns_;
  Series uses_, acquisitions_, findings_, gaps_;
};

}  // namespace keytrail::metrics
