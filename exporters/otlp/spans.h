// SPDX-License-Identifier: Apache-2.0
// Rows → an OTLP trace request. Pure; any thread. Acquisitions and uses become spans; other rows have none.
#pragma once

#include <span>
#include <string>

#include "exporters/otlp/segments.h"
#include "exporters/otlp/sender.h"
#include "keytrail/row.h"
#include "trace_service.pb.h"

namespace keytrail::otlp {

using TraceRequest = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using TraceResponse = opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;

/// One resource per workload, its spans in the rows' order. `places[i]` is the place of `rows[i]` (SpanBuilder::place).
/// A request without spans has no resources.
[[nodiscard]] TraceRequest build_trace_request(std::span<const Row> rows, std::span<const Place> places,
                                               const Sender& sender);

}  // namespace keytrail::otlp
