// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/signals.h"

#include "exporters/otlp/logs.h"
#include "exporters/otlp/metric_points.h"
#include "exporters/otlp/spans.h"

namespace keytrail::otlp {
namespace {

std::unique_ptr<Message> traces(const Material& from) {
  auto request = std::make_unique<TraceRequest>(build_trace_request(from.rows, from.places, from.sender));
  return request->resource_spans_size() > 0 ? std::move(request) : nullptr;
}

std::unique_ptr<Message> logs(const Material& from) {
  auto request = std::make_unique<LogRequest>(build_log_request(from.rows, from.places, from.sender));
  return request->resource_logs_size() > 0 ? std::move(request) : nullptr;
}

std::unique_ptr<Message> metrics(const Material& from) {
  if (from.metrics.empty()) return nullptr;
  return std::make_unique<MetricsRequest>(build_metrics_request(from.metrics, from.now_ns, from.sender));
}

}  // namespace

const std::array<Signal, kSignals>& signals() {
  static constexpr std::array<Signal, kSignals> kTable{
      Signal{"traces", "/v1/traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
             "opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse", true, traces},
      Signal{"logs", "/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
             "opentelemetry.proto.collector.logs.v1.ExportLogsServiceResponse", true, logs},
      Signal{"metrics", "/v1/metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
             "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceResponse", false, metrics},
  };
  return kTable;
}

}  // namespace keytrail::otlp
