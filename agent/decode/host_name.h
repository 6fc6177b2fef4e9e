// SPDX-License-Identifier: Apache-2.0
// Host names as clients write them, made comparable. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace keytrail::decode {

/// Lower case, without the trailing dot. Empty when it cannot be a host name: longer than 253 bytes, a label that is empty or longer than
/// 63, or a character that is not a letter, digit, '-', '_' or '.' (RFC 1123, with the underscore that service names use).
[[nodiscard]] std::string host_name(std::string_view text);

struct HostPort {
  std::string host;        ///< as host_name(), or an IPv6 literal without its brackets; empty when it cannot be one
  std::uint16_t port = 0;  ///< 0 when absent
  bool bad = false;        ///< the text was not empty and made no sense
};

/// "host", "host:port", "[v6]:port": the authority of a request, RFC 9110 section 7.2. User information is refused.
[[nodiscard]] HostPort host_port(std::string_view text);

}  // namespace keytrail::decode
