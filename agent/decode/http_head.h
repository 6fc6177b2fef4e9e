// SPDX-License-Identifier: Apache-2.0
// The head of a plain HTTP/1 request, as the kernel side cuts it (KT_PAYLOAD_HTTP): request line without its query, LF,
// the Host header's value. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace keytrail::decode {

struct HttpHead {
  bool http = false;     ///< it begins with a method token and a target
  bool connect = false;  ///< CONNECT: `host` and `port` are where the tunnel goes
  std::string method;    ///< "GET"
  std::string path;      ///< from '/', without a query or fragment; empty for CONNECT and "*"
  /// Target's host for CONNECT and absolute form, else the Host header's; lower case; claimed by the client.
  std::string host;
  std::uint16_t port = 0;  ///< 0 when absent
  bool truncated = false;  ///< it ended, or the name was implausible, before the name was known
};

/// RFC 9112 section 3. A query that came along in spite of the form is removed: it may hold a secret.
[[nodiscard]] HttpHead parse_http_head(std::span<const std::byte> data);

}  // namespace keytrail::decode
