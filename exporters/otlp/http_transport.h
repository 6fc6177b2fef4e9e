// SPDX-License-Identifier: Apache-2.0
// OTLP/HTTP: one POST at a time over one connection that is kept open, http or https. `post` runs on the exporter's thread and returns
// within its time limit; `cancel` may come from any thread and ends it at once. Redirects are not followed: the records go where
// configured.
#pragma once

#include <memory>
#include <string>

#include "agent/base/config.h"
#include "keytrail/result.h"

namespace keytrail::otlp {

struct HttpResponse {
  unsigned status = 0;
  std::string reason;       ///< phrase of the status line, not cleaned
  std::string retry_after;  ///< header, or empty
  std::string body;         ///< at most kResponseMax
};

inline constexpr std::size_t kResponseMax = 4U << 20U;  ///< bytes; OTLP's own bound

class HttpTransport {
 public:
  /// Errors: kInvalid for an endpoint or TLS file that cannot be used. Nothing is connected yet.
  [[nodiscard]] static Result<std::unique_ptr<HttpTransport>> create(const base::OtlpConfig& config);
  virtual ~HttpTransport() = default;
  /// POSTs `body` to the endpoint's path + `path` ("/v1/traces"). Errors: kUnavailable (no answer: trying again may help),
  /// kTooLarge (an answer over kResponseMax), kGone (cancelled).
  [[nodiscard]] virtual Result<HttpResponse> post(const std::string& path, const std::string& body, bool gzipped) = 0;
  /// For good: a running and each later `post` fails with kGone.
  virtual void cancel() = 0;
};

}  // namespace keytrail::otlp
