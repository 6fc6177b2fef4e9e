// SPDX-License-Identifier: Apache-2.0
// The agent's metrics → an OTLP metrics request: cumulative sums and gauges of the agent's own resource. Pure; any
// thread.
#pragma once

#include <span>
#include <string>

#include "exporters/otlp/sender.h"
#include "keytrail/metrics.h"
#include "metrics_service.pb.h"

namespace keytrail::otlp {

using MetricsRequest = opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest;

/// `now_ns`: of the points, Unix ns.
[[nodiscard]] MetricsRequest build_metrics_request(std::span<const Metric> metrics, std::int64_t now_ns,
                                                   const Sender& sender);

}  // namespace keytrail::otlp
