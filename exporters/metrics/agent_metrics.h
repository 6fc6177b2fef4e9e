// SPDX-License-Identifier: Apache-2.0
// All metrics of the agent: what it saw (row_counts) and how it is (AgentStatus, HistoryStatus). One builder for OTLP
// and Prometheus. README.md has the table of names; a test keeps it whole. Any thread.
#pragma once

#include <mutex>

#include "exporters/metrics/row_counts.h"
#include "keytrail/agent_status.h"
#include "keytrail/clock.h"

namespace keytrail::metrics {

class AgentMetrics final : public MetricSource {
 public:
  /// Counts what is appended from now on. All must outlive it.
  AgentMetrics(AgentStatusSource& agent, HistoryReader& history, const Clock& clock);
  [[nodiscard]] std::vector<Metric> collect() override;

 private:
  AgentStatusSource& agent_;
  HistoryReader& history_;
  const std::int64_t start_ns_;
  std::mutex mutex_;  ///< guards `rows_`
  RowCounts rows_;
};

/// The agent's health. `start_ns`: when this worker started. Pure.
void put_health(std::vector<Metric>& out, const AgentStatus& agent, const HistoryStatus& history,
                std::int64_t start_ns);

}  // namespace keytrail::metrics
