// SPDX-License-Identifier: Apache-2.0
#include "exporters/metrics/row_counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace keytrail::metrics {
namespace {

UseRow use(const std::vector<std::string>& kinds, std::uint64_t connections) {
  UseRow row;
  for (const std::string& kind : kinds) {
    Candidate one;
    one.key.kind = kind;
    row.keys.push_back(one);
  }
  row.destination.provider = "aws";
  row.evidence = Evidence::kInferred;
  row.outcome = Outcome::kOk;
  row.connections = connections;
  return row;
}

double value_of(const RowCounts& counts, const std::string& metric, const std::string& label,
                const std::string& value) {
  std::vector<Metric> all;
  counts.put(all);
  double sum = 0;
  for (const Metric& one : all) {
    for (const MetricPoint& point : one.points) {
      for (const auto& [name, text] : point.labels) {
        if (one.name == metric && name == label && text == value) sum += point.value;
      }
    }
  }
  return sum;
}

TEST(RowCounts, UsesAreSummedByTheirCountAndWhatTheyShare) {
  RowCounts counts(0, 5);
  Row row{.seq = 1, .body = use({"aws.access_key"}, 3)};
  counts.add(row);
  std::get<UseRow>(row.body).requests = 7;
  counts.add(row);
  counts.add({.seq = 3, .body = use({"aws.access_key", "gcp.key"}, 1)});
  counts.add({.seq = 4, .body = use({}, 1)});
  EXPECT_EQ(value_of(counts, "keytrail.uses", "keytrail.key.kind", "aws.access_key"), 10);
  EXPECT_EQ(value_of(counts, "keytrail.uses", "keytrail.key.kind", "several"), 1);
  EXPECT_EQ(value_of(counts, "keytrail.uses", "keytrail.destination.provider", "aws"), 12);
}

TEST(RowCounts, EveryKindOfRowHasItsMetric) {
  RowCounts counts(0, 5);
  AcquisitionRow acquisition;
  acquisition.key.kind = "k8s.token";
  FindingRow finding;
  finding.type = "old_key_in_use";
  counts.add({.body = acquisition});
  counts.add({.body = finding});
  counts.add({.body = GapRow{.cause = "ring_full"}});
  EXPECT_EQ(value_of(counts, "keytrail.acquisitions", "keytrail.key.kind", "k8s.token"), 1);
  EXPECT_EQ(value_of(counts, "keytrail.findings", "keytrail.finding.type", "old_key_in_use"), 1);
  EXPECT_EQ(value_of(counts, "keytrail.gaps", "keytrail.gap.cause", "ring_full"), 1);
}

TEST(Series, BeyondTheBoundThereIsOneOverflowAndNothingIsLost) {
  Series series(3);
  for (int i = 0; i < 10; ++i)
    series.add({{"a", std::to_string(i)}}, 1);
  series.add({{"a", "1"}}, 5);
  const auto points = series.points();
  ASSERT_EQ(points.size(), 4U);
  EXPECT_TRUE(points.back().overflow);
  EXPECT_EQ(points.back().value, 7);
  double sum = 0;
  for (const MetricPoint& point : points)
    sum += point.value;
  EXPECT_EQ(sum, 15);
}

}  // namespace
}  // namespace keytrail::metrics
