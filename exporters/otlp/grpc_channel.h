// SPDX-License-Identifier: Apache-2.0
// A gRPC channel for unary calls of bytes, as keytrail-otlp-grpc.so gives it. gRPC maps 50 libraries (5 MB of memory, 4
// ms): they are loaded only where an exporter is configured for it. Nothing of gRPC is in this header.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace keytrail::otlp {

struct GrpcReply {
  int code = 0;         ///< gRPC status code; 0 = OK
  std::string message;  ///< not cleaned
  std::string details;  ///< google.rpc.Status, or empty
  std::string body;
  bool cancelled = false;  ///< by `cancel`
};

struct GrpcTarget {
  std::string address;  ///< host:port
  bool tls = false;
  std::string ca, cert, key;  ///< PEM texts; without `ca` gRPC's own authorities
  bool gzip = false;
  std::string user_agent;
  std::vector<std::pair<std::string, std::string>> headers;  ///< lower case names
  std::size_t answer_max = 0;                                ///< bytes
};

class GrpcChannel {
 public:
  /// Ends gRPC's threads too, when it is the last one.
  virtual ~GrpcChannel() = default;
  /// One call at a time. `method`: "/package.Service/Method".
  virtual GrpcReply call(const char* method, const std::string& body, std::chrono::milliseconds timeout) = 0;
  /// For good. Any thread.
  virtual void cancel() = 0;
};

inline constexpr char kGrpcPart[] = "keytrail-otlp-grpc.so";
inline constexpr char kGrpcEntry[] = "keytrail_open_grpc_channel";
using OpenGrpcChannel = std::unique_ptr<GrpcChannel> (*)(const GrpcTarget& target);

}  // namespace keytrail::otlp
