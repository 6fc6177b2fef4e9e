// SPDX-License-Identifier: Apache-2.0
// Target: the first bytes of a connection as a TLS ClientHello (agent/decode).
#include "agent/decode/client_hello.h"
#include "agent/base/host.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  using fuzz::require;
  const decode::ClientHello hello = decode::parse_client_hello(std::as_bytes(std::span(data, size)));
  require(hello.tls || (hello.sni.empty() && hello.alpn.empty() && !hello.ech), "what is not TLS has no names");
  require(hello.sni.empty() || base::host_name(hello.sni) == hello.sni, "the name is a host name");
  require(hello.alpn.size() <= 64 && fuzz::is_shown_safely(hello.alpn), "protocols are short and plain");
  require(hello.sni.empty() || !hello.truncated, "a name that is there was whole");
  return 0;
}
