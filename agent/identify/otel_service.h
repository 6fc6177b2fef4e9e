// SPDX-License-Identifier: Apache-2.0
// What a process calls its service, from its initial environment: claimed by whoever set the variable. Pure; any
// thread.
#pragma once

#include <optional>

#include "keytrail/process.h"

namespace keytrail::identify {

/// fact::kServiceName, claimed, of OTEL_SERVICE_NAME; nothing where it is not set, no name, or the workload is not one
/// service (a person, a program of the machine).
/// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
[[nodiscard]] std::optional<Fact> otel_service_name(const Process& process);

}  // namespace keytrail::identify
