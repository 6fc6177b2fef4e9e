// SPDX-License-Identifier: Apache-2.0
// The names in a TLS ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301, RFC 9849 for ECH). Pure; any
// thread; hostile input expected.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace keytrail::decode {

struct ClientHello {
  bool tls = false;  ///< the bytes begin a TLS handshake record with a ClientHello
  std::string sni;   ///< claimed by the client; lower case; empty when absent or not a plausible name
  std::string alpn;  ///< offered protocols, comma-separated ("h2,http/1.1"), at most 64 bytes
  /// An encrypted ClientHello is there, or GREASE for one (they look alike): `sni` may be an outer name.
  bool ech = false;
  bool truncated = false;  ///< the bytes ended, or the name was implausible, before the name was known
  bool malformed = false;  ///< lengths contradict each other; what was found before is kept
};

/// `data`: the first bytes of a connection; the ClientHello may be split over records and may be cut anywhere.
[[nodiscard]] ClientHello parse_client_hello(std::span<const std::byte> data);
/// The same without records, as QUIC carries it.
[[nodiscard]] ClientHello parse_handshake(std::span<const std::byte> data);

}  // namespace keytrail::decode
