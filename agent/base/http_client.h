// SPDX-License-Identifier: Apache-2.0
// The one HTTP/1.1 client: http, https or a Unix socket, one request at a time over one connection that is kept open.
// Beast parses and writes messages; the bytes go by NetStream. `send` runs on the caller's thread and returns within
// its time limit; `cancel` may come from any thread and ends it at once. Redirects are not followed.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/net_stream.h"
#include "keytrail/result.h"

namespace keytrail::base {

/// Where to: of a URL, or of a Unix socket's path.
struct HttpTarget {
  NetAddress address;
  bool tls = false;
  std::string authority;  ///< for the Host header
  std::string path;       ///< of the URL, no slash at its end

  /// Takes http:// and https:// without user, query and fragment. `port`: of an http URL that names none (https: 443).
  /// Error: kInvalid.
  [[nodiscard]] static Result<HttpTarget> parse(const std::string& url, const std::string& port = "80");
  [[nodiscard]] static HttpTarget unix_socket(const std::string& path);
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method = "GET";
  std::string path = "/";  ///< encoded, with the query; the target's own path is not put before it
  HttpHeaders headers;     ///< beside Host, User-Agent and Content-Length; those of the same name replace them
  std::string body;
  std::chrono::milliseconds timeout{10'000};    ///< of all of it; with `on_body` of each silence
  std::chrono::milliseconds connect_timeout{};  ///< of a new connection, where it is less; 0 = `timeout`
  /// Given: pieces of the body as they come instead of HttpResponse::body. False ends the request (and the connection).
  std::function<bool(unsigned status, std::string_view piece)> on_body;
};

struct HttpResponse {
  unsigned status = 0;
  std::string reason;  ///< phrase of the status line, not cleaned
  HttpHeaders headers;
  std::string body;  ///< at most `answer_max`
  /// Of the first header of this name (any case), or empty.
  [[nodiscard]] std::string header(std::string_view name) const;
};

class HttpClient {
 public:
  /// Errors: kInvalid for a TLS file that cannot be used. Nothing is connected yet. `answer_max`: bytes of a body.
  [[nodiscard]] static Result<std::unique_ptr<HttpClient>> create(HttpTarget target, const TlsFiles& tls,
                                                                  std::size_t answer_max);
  virtual ~HttpClient() = default;
  /// Errors: kNotFound and kRefused (not connected), kUnavailable (no answer: trying again may help), kTooLarge (an
  /// answer over `answer_max`), kGone (cancelled). An idle connection that the peer has closed is opened again, once.
  [[nodiscard]] virtual Result<HttpResponse> send(const HttpRequest& request) = 0;
  /// For good: a running and each later `send` fails with kGone.
  virtual void cancel() = 0;
};

}  // namespace keytrail::base
