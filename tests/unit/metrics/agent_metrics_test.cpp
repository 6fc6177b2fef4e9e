// SPDX-License-Identifier: Apache-2.0
#include "exporters/metrics/agent_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

namespace keytrail::metrics {
namespace {

AgentStatus agent() {
  AgentStatus out;
  out.armed_since_ns = 100;
  FamilyStatus open;
  open.hook.family = Family::kOpen;
  open.hook.chosen = "fentry";
  open.counters.hits = 9;
  open.counters.lost = {{"ring_full", 2}};
  out.families = {open};
  out.worker.recorded = 3;
  out.worker.dropped = {{"short", 1}};
  out.tracking = {{"connections", 4}};
  out.roles = {{.name = "examiner", .pid = 1, .restarts = 2, .ended = ""}};
  ExporterStatus exporter;
  exporter.name = "siem";
  exporter.retries = 6;
  exporter.lag_ns = 1'500'000'000;
  out.exporters = {exporter};
  return out;
}

HistoryStatus history() {
  HistoryStatus out;
  out.rows = 11;
  out.exporters["siem"] = {.rows = 11, .acknowledged = 7, .rejected = 1, .expired = 0, .waiting = 3};
  return out;
}

const MetricPoint* find(const std::vector<Metric>& metrics, const std::string& name, const MetricLabels& labels) {
  for (const Metric& metric : metrics) {
    for (const MetricPoint& point : metric.points) {
      const auto same = [](const auto& a, const auto& b) {
        return std::string(a.first) == b.first && a.second == b.second;
      };
      if (metric.name == name && std::ranges::equal(point.labels, labels, same)) return &point;
    }
  }
  return nullptr;
}

TEST(AgentMetrics, HealthIsWhatStatusSays) {
  std::vector<Metric> all;
  put_health(all, agent(), history(), 50);
  const auto value = [&](const std::string& name, const MetricLabels& labels) {
    const MetricPoint* point = find(all, name, labels);
    return point == nullptr ? -1 : point->value;
  };
  EXPECT_EQ(value("keytrail.hook.armed", {{"keytrail.family", "open"}}), 1);
  EXPECT_EQ(value("keytrail.hook.hits", {{"keytrail.family", "open"}}), 9);
  EXPECT_EQ(value("keytrail.hook.lost", {{"keytrail.family", "open"}, {"keytrail.cause", "ring_full"}}), 2);
  EXPECT_EQ(value("keytrail.worker.events", {{"keytrail.fate", "dropped"}, {"keytrail.cause", "short"}}), 1);
  EXPECT_EQ(value("keytrail.role.restarts", {{"keytrail.role", "examiner"}}), 2);
  EXPECT_EQ(value("keytrail.exporter.rows", {{"keytrail.exporter", "siem"}, {"keytrail.fate", "acknowledged"}}), 7);
  EXPECT_EQ(value("keytrail.exporter.waiting", {{"keytrail.exporter", "siem"}}), 3);
  EXPECT_EQ(value("keytrail.exporter.lag", {{"keytrail.exporter", "siem"}}), 1.5);
  EXPECT_EQ(value("keytrail.history.rows", {}), 11);
}

TEST(AgentMetrics, CountersSayWhenTheyBegan) {
  std::vector<Metric> all;
  put_health(all, agent(), history(), 50);
  for (const Metric& metric : all) {
    const std::string name = metric.name;
    if (metric.kind == Metric::Kind::kGauge) continue;
    const std::int64_t want = name.starts_with("keytrail.hook.") || name == "keytrail.worker.events" ? 100
                              : name == "keytrail.exporter.retries"                                  ? 50
                                                                                                     : 0;
    EXPECT_EQ(metric.start_ns, want) << name;
  }
}

TEST(AgentMetrics, TheReadmeNamesEachWithItsUnit) {
  std::vector<Metric> all;
  RowCounts(0, 0).put(all);
  put_health(all, agent(), history(), 50);
  std::ifstream file(KEYTRAIL_SOURCE "/exporters/metrics/README.md");
  std::stringstream text;
  text << file.rdbuf();
  std::set<std::string> names;
  for (const Metric& metric : all) {
    EXPECT_TRUE(names.insert(metric.name).second) << metric.name << " twice";
    EXPECT_THAT(text.str(), ::testing::HasSubstr("| `" + std::string(metric.name) + "` | `" + metric.unit + "` |"));
  }
  const std::string readme = text.str();
  for (std::size_t at = readme.find("| `keytrail."); at != std::string::npos;
       at = readme.find("| `keytrail.", at + 1)) {
    const std::string name = readme.substr(at + 3, readme.find('`', at + 3) - at - 3);
    EXPECT_TRUE(names.contains(name)) << name << " is in the README only";
  }
}

}  // namespace
}  // namespace keytrail::metrics
