// SPDX-License-Identifier: Apache-2.0
// Parts of the exporter that bring large libraries (gRPC; Protobuf's reflection for JSON): small shared objects beside
// the executables, opened when a configured exporter needs them and never closed. Any thread.
#pragma once

#include <string>

#include "keytrail/result.h"

namespace keytrail::otlp {

/// The folder of the running executable.
[[nodiscard]] std::string folder_of_parts();
/// The function `entry` of FOLDER/FILE. Errors: kNotFound, with what to do.
[[nodiscard]] Result<void*> load_part(const std::string& folder, const std::string& file, const char* entry);

}  // namespace keytrail::otlp
