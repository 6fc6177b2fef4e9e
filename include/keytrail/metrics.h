// SPDX-License-Identifier: Apache-2.0
// Port: the agent's metrics, as OTLP and the Prometheus port send them. Cumulative; `collect` may be called from any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace keytrail {

/// The attributes that make a series; empty values are left out.
using MetricLabels = std::vector<std::pair<const char*, std::string>>;

struct MetricPoint {
  MetricLabels labels;
  double value = 0;
  bool overflow = false;  ///< all series beyond the bound together: `otel.metric.overflow`
};

struct Metric {
  enum class Kind : std::uint8_t {
    kCounter,  ///< only grows; begins again with `start_ns`
    kGauge,
  };
  const char* name;  ///< "keytrail.uses"
  const char* unit;  ///< UCUM: "{use}", "By", "s"
  const char* help;  ///< one sentence
  Kind kind = Kind::kCounter;
  /// Unix ns: since when a counter counts; 0 = since the history began, which may be older than what it holds.
  std::int64_t start_ns = 0;
  std::vector<MetricPoint> points;
};

class MetricSource {
 public:
  virtual ~MetricSource() = default;
  [[nodiscard]] virtual std::vector<Metric> collect() = 0;
};

}  // namespace keytrail
