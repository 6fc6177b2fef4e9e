// SPDX-License-Identifier: Apache-2.0
// The environment variables of OpenTelemetry (specification, "OTLP exporter configuration" and "General SDK
// configuration"), for those who set them for every program of a node. Read once at start. The configuration file wins:
// with an `otlp` list there, no exporter comes from variables. Without OTEL_EXPORTER_OTLP_ENDPOINT (or that of a
// signal) nothing is exported: there is no default destination.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/base/config.h"

namespace keytrail::base {

using GetEnv = std::function<std::optional<std::string>(const std::string&)>;

/// Adds what the variables say to `config`: exporters named "environment" (or "environment-SIGNAL" where the signals
/// differ), and what goes into the resource. Errors: kInvalid, a sentence that names the variable and not its value.
[[nodiscard]] Result<void> read_otel_environment(Config& config, const GetEnv& getenv);

}  // namespace keytrail::base
