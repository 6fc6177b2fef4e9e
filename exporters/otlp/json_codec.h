// SPDX-License-Identifier: Apache-2.0
// OTLP's JSON, as keytrail-otlp-json.so gives it. It needs Protobuf with reflection (1.5 MB of memory more than the
// lite runtime), so it is loaded only where an exporter is configured for it. Nothing of Protobuf is in this header.
// Any thread.
#pragma once

#include <optional>
#include <string>

namespace keytrail::otlp {

/// `type`: full name of the message. Absent: the bytes are none of that type.
using ToJson = std::optional<std::string> (*)(const std::string& type, const std::string& bytes);
using FromJson = std::optional<std::string> (*)(const std::string& type, const std::string& json);

inline constexpr char kJsonPart[] = "keytrail-otlp-json.so";
inline constexpr char kToJsonEntry[] = "keytrail_otlp_to_json";
inline constexpr char kFromJsonEntry[] = "keytrail_otlp_from_json";

}  // namespace keytrail::otlp
