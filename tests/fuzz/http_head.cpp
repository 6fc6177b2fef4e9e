// SPDX-License-Identifier: Apache-2.0
// Target: the head of a plain HTTP request, CONNECT among them, and the authority alone (agent/decode).
#include "agent/decode/http_head.h"
#include "agent/base/host.h"

#include <algorithm>

#include "tests/fuzz/fuzz.h"

namespace {

bool is_host(const std::string& text) {
  return text.empty() || keytrail::base::host_name(text) == text ||
         text.find_first_not_of("0123456789abcdef:.") == std::string::npos;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  using fuzz::require;
  const decode::HttpHead head = decode::parse_http_head(std::as_bytes(std::span(data, size)));
  require(head.http || (head.method.empty() && head.path.empty() && head.host.empty()),
          "what is not HTTP has no parts");
  require(!head.connect || (head.method == "CONNECT" && head.path.empty()), "CONNECT has a target and no path");
  require(head.path.empty() || head.path.starts_with('/'), "a path begins with '/'");
  require(head.path.find_first_of("?#") == std::string::npos, "a path has no query");
  require(is_host(head.host), "the host is a host name or an IPv6 literal");

  const base::HostPort authority = base::parse_host(fuzz::text_of(data, size));
  require(is_host(authority.host) && (authority.port == 0 || !authority.host.empty()), "a port comes with a host");
  return 0;
}
