// SPDX-License-Identifier: Apache-2.0
// How a request goes to a collector. One implementation per protocol, chosen in transport.cpp's table. `send` runs on
// the exporter's thread and returns within the configured time limit; `cancel` may come from any thread and ends it at
// once. A new protocol is one file (in CMakeLists.txt too), its maker below, one line in that table, and its name in
// agent/base/config.h.
#pragma once

#include <memory>
#include <string>

#include "agent/base/config.h"
#include "exporters/otlp/answer.h"
#include "exporters/otlp/signals.h"
#include "keytrail/clock.h"

namespace keytrail::otlp {

inline constexpr std::size_t kResponseMax = 4U << 20U;  ///< bytes; OTLP's own bound
inline constexpr char kUserAgent[] = "Keytrail/" KEYTRAIL_VERSION " OTel-OTLP-Exporter-Cpp/" KEYTRAIL_VERSION;

class Transport {
 public:
  virtual ~Transport() = default;
  /// Sends one request and says what became of it.
  [[nodiscard]] virtual Answer send(const Signal& signal, const Message& message) = 0;
  /// For good: a running and each later `send` answers kCancelled.
  virtual void cancel() = 0;
};

struct TransportParts {
  const base::OtlpConfig& config;
  const Clock& clock;
  std::string folder;  ///< of the parts that are opened when needed (loaded_part.h)
};

/// Errors: kInvalid for an endpoint, header or TLS file that cannot be used, kNotFound for a part that is not
/// installed. Nothing is connected yet.
[[nodiscard]] Result<std::unique_ptr<Transport>> make_transport(const TransportParts& parts);

// One per protocol.
[[nodiscard]] Result<std::unique_ptr<Transport>> make_http_protobuf(const TransportParts& parts);
[[nodiscard]] Result<std::unique_ptr<Transport>> make_http_json(const TransportParts& parts);
[[nodiscard]] Result<std::unique_ptr<Transport>> make_grpc(const TransportParts& parts);

}  // namespace keytrail::otlp
