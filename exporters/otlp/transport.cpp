// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/transport.h"

#include "agent/base/log.h"

namespace keytrail::otlp {
namespace {

struct Protocol {
  const char* name;
  Result<std::unique_ptr<Transport>> (*make)(const TransportParts& parts);
};

constexpr Protocol kProtocols[] = {
    {"http/protobuf", make_http_protobuf},
    {"http/json", make_http_json},
    {"grpc", make_grpc},
};

}  // namespace

Result<std::unique_ptr<Transport>> make_transport(const TransportParts& parts) {
  for (const base::OtlpHeader& header : parts.config.headers) {
    if (header.name.empty() || header.name.find_first_of(" :\r\n\t") != std::string::npos ||
        header.value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      return fail(Error::Code::kInvalid,
                  "header " + base::printable(header.name) + ": line breaks and colons cannot be sent");
    }
  }
  for (const Protocol& protocol : kProtocols) {
    if (parts.config.protocol == protocol.name) return protocol.make(parts);
  }
  return fail(Error::Code::kInvalid, "no transport for the protocol " + base::printable(parts.config.protocol));
}

}  // namespace keytrail::otlp
