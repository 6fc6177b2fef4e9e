// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/metric_points.h"

#include <gtest/gtest.h>

#include "agent/base/system_clock.h"
#include "exporters/otlp/attributes.h"
#include "exporters/otlp/exporter.h"
#include "fake_collector.h"
#include "rows.h"

namespace keytrail::otlp {
namespace {

using namespace test;
namespace proto = opentelemetry::proto::metrics::v1;

class TwoMetrics final : public MetricSource {
 public:
  std::vector<Metric> collect() override {
    ++asked;
    Metric uses{.name = "keytrail.uses", .unit = "{use}", .help = "Uses.", .start_ns = 5};
    uses.points = {{.labels = {{"keytrail.key.kind", "aws.access_key"}}, .value = 7},
                   {.labels = {}, .value = 1, .overflow = true}};
    Metric lag{.name = "keytrail.exporter.lag", .unit = "s", .help = "Lag.", .kind = Metric::Kind::kGauge};
    lag.points = {{.value = 0.5}};
    return {uses, lag, {.name = "keytrail.empty", .unit = "1", .help = ""}};
  }
  std::atomic<int> asked = 0;
};

TEST(MetricPoints, CountersAreCumulativeSumsAndTheRestAreGauges) {
  TwoMetrics source;
  const MetricsRequest request =
      build_metrics_request(source.collect(), 9, {"node-1", "tracer", {{"host.id", "h"}, {"team", "blue"}}});
  const auto& group = request.resource_metrics(0);
  ASSERT_EQ(group.resource().attributes_size(), 4);
  EXPECT_EQ(group.resource().attributes(3).value().string_value(), "tracer");
  const auto& metrics = group.scope_metrics(0).metrics();
  ASSERT_EQ(metrics.size(), 2) << "a metric without points is left out";
  EXPECT_EQ(metrics[0].unit(), "{use}");
  EXPECT_TRUE(metrics[0].sum().is_monotonic());
  EXPECT_EQ(metrics[0].sum().aggregation_temporality(), proto::AGGREGATION_TEMPORALITY_CUMULATIVE);
  const auto& point = metrics[0].sum().data_points(0);
  EXPECT_EQ(point.start_time_unix_nano(), 5U);
  EXPECT_EQ(point.time_unix_nano(), 9U);
  EXPECT_EQ(point.as_int(), 7);
  EXPECT_EQ(point.attributes(0).value().string_value(), "aws.access_key");
  const auto& overflow = metrics[0].sum().data_points(1);
  EXPECT_EQ(overflow.attributes(0).key(), "otel.metric.overflow");
  EXPECT_TRUE(overflow.attributes(0).value().bool_value());
  EXPECT_EQ(metrics[1].gauge().data_points(0).as_double(), 0.5);
}

TEST(MetricPoints, OnlyWhatSaysWhereGoesToTheResourcesOfWorkloads) {
  resource::Resource out;
  fill_resource(out, acquisition(1, 7, "AKIA1"),
                {"node-1", "tracer", {{"host.id", "h"}, {"team", "blue"}, {"k8s.cluster.name", "c"}}});
  std::string names;
  for (const auto& one : out.attributes())
    names += one.key() + " ";
  EXPECT_NE(names.find("host.id k8s.cluster.name"), std::string::npos) << names;
  EXPECT_EQ(names.find("team"), std::string::npos) << names;
}

TEST(MetricPoints, AnExporterOfMetricsAloneHasNoRowsToSettleAndIsNotHeldUpByARefusal) {
  FakeCollector collector({http("400 Bad Request"), http("503 Service Unavailable"), http("200 OK")});
  const base::SystemClock clock;
  FakeQueue queue;
  TwoMetrics source;
  base::OtlpConfig config{.endpoint = collector.endpoint()};
  config.signals = {"metrics"};
  config.metrics_s = 1;
  config.gzip = false;
  queue.add(acquisition(1, 7, "AKIA1"));
  ExporterTuning tuning;
  tuning.poll = milliseconds(20);
  Exporter exporter(config, queue, clock, Sender{"node-1"}, tuning, &source);
  ASSERT_TRUE(exporter.start());
  ASSERT_TRUE(eventually([&] { return collector.requests().size() == 3; }));
  EXPECT_TRUE(eventually([&] { return exporter.state().last_ok_ns > 0; }));
  exporter.stop();
  EXPECT_EQ(source.asked, 3);
  EXPECT_EQ(queue.counters("")->acknowledged, 0U);
  EXPECT_NE(collector.requests()[0].find("POST /v1/metrics HTTP/1.1"), std::string::npos);
  MetricsRequest request;
  EXPECT_TRUE(request.ParseFromString(body_of(collector.requests()[0])));
}

}  // namespace
}  // namespace keytrail::otlp
