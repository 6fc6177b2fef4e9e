// SPDX-License-Identifier: Apache-2.0
// A gRPC server on loopback for tests: answers each unary call from a list, the last one for ever. The only other file
// with gRPC is its .cpp.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace keytrail::otlp::test {

struct GrpcAnswer {
  int code = 0;
  std::string message;
  std::string details;  ///< google.rpc.Status
  std::string body;
  bool hang = false;  ///< no answer until the client has gone
};

struct GrpcRequest {
  std::string method;
  std::multimap<std::string, std::string> metadata;
  std::string body;
};

class GrpcCollector {
 public:
  explicit GrpcCollector(std::vector<GrpcAnswer> answers, int port = 0);
  ~GrpcCollector();
  GrpcCollector(const GrpcCollector&) = delete;
  GrpcCollector& operator=(const GrpcCollector&) = delete;
  [[nodiscard]] int port() const;
  [[nodiscard]] std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port()); }
  [[nodiscard]] std::vector<GrpcRequest> requests() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keytrail::otlp::test
