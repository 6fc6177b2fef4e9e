// SPDX-License-Identifier: Apache-2.0
// Addresses in a DNS answer (RFC 1035 section 4, RFC 3596), CNAMEs followed. Pure; any thread; hostile input expected.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "keytrail/event.h"

namespace keytrail::decode {

struct DnsMessage {
  std::string question;            ///< the name asked for; lower case, no trailing dot
  std::vector<DnsAnswer> answers;  ///< addresses of that name, each with the shortest TTL on its way; at most 64
  bool truncated = false;          ///< the bytes, or our limits, ended before the last record
  bool malformed = false;          ///< no answer to one question, or its first lines make no sense; answers is empty
};

/// `data`: from the DNS header on; may be cut anywhere (complete records before the cut count). An answer that says "no
/// such name" is well-formed and empty.
[[nodiscard]] DnsMessage parse_dns(std::span<const std::byte> data);

}  // namespace keytrail::decode
