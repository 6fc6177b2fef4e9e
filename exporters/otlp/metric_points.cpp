// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/metric_points.h"

#include <algorithm>
#include <string_view>

#include "exporters/otlp/attributes.h"

namespace keytrail::otlp {
namespace {

namespace proto = opentelemetry::proto::metrics::v1;

std::uint64_t unix_nano(std::int64_t ns) { return static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0)); }

void fill(proto::NumberDataPoint& out, const Metric& metric, const MetricPoint& point, std::int64_t now_ns) {
  out.set_time_unix_nano(unix_nano(now_ns));
  if (metric.kind == Metric::Kind::kCounter) out.set_start_time_unix_nano(unix_nano(metric.start_ns));
  if (std::string_view(metric.unit) == "s") {
    out.set_as_double(point.value);
  } else {
    out.set_as_int(static_cast<std::int64_t>(point.value));
  }
  Attributes put(out.mutable_attributes());
  if (point.overflow) put.flag("otel.metric.overflow", true);
  for (const auto& [name, value] : point.labels)
    put.text(name, value);
}

}  // namespace

MetricsRequest build_metrics_request(std::span<const Metric> metrics, std::int64_t now_ns, const Sender& sender) {
  MetricsRequest request;
  proto::ResourceMetrics& group = *request.add_resource_metrics();
  fill_resource(*group.mutable_resource(), Row{.body = GapRow{}}, sender);
  proto::ScopeMetrics& scope = *group.add_scope_metrics();
  fill_scope(*scope.mutable_scope());
  for (const Metric& metric : metrics) {
    if (metric.points.empty()) continue;
    proto::Metric& out = *scope.add_metrics();
    out.set_name(metric.name);
    out.set_description(metric.help);
    out.set_unit(metric.unit);
    const bool counter = metric.kind == Metric::Kind::kCounter;
    if (counter) {
      out.mutable_sum()->set_aggregation_temporality(proto::AGGREGATION_TEMPORALITY_CUMULATIVE);
      out.mutable_sum()->set_is_monotonic(true);
    }
    auto& points = counter ? *out.mutable_sum()->mutable_data_points() : *out.mutable_gauge()->mutable_data_points();
    for (const MetricPoint& point : metric.points)
      fill(*points.Add(), metric, point, now_ns);
  }
  return request;
}

}  // namespace keytrail::otlp
