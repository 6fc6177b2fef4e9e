// SPDX-License-Identifier: Apache-2.0
// Rows → an OTLP log request, for rules of a SIEM; a revision is one too, so that a collector hears of what a later
// look changed. Pure; any thread.
#pragma once

#include <span>
#include <string>

#include "exporters/otlp/segments.h"
#include "exporters/otlp/sender.h"
#include "keytrail/row.h"
#include "logs_service.pb.h"

namespace keytrail::otlp {

using LogRequest = opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
using LogResponse = opentelemetry::proto::collector::logs::v1::ExportLogsServiceResponse;

/// One record per acquisition, use, finding and gap, grouped by workload. Event names: keytrail.acquire, .use,
/// .finding, .gap. Trace and span id are those of the row's span; a finding has those of the span it is about.
[[nodiscard]] LogRequest build_log_request(std::span<const Row> rows, std::span<const Place> places,
                                           const Sender& sender);

/// One sentence for people: "aws (backup.service) used (inferred) AKIA… at s3.eu-west-1.amazonaws.com, PutObject:
/// only key …". Valid UTF-8.
[[nodiscard]] std::string sentence(const Row& row);

}  // namespace keytrail::otlp
