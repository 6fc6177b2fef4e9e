// SPDX-License-Identifier: Apache-2.0
// The ClientHello in QUIC's Initial packets (RFC 9000, 9001, 9369), which are encrypted with keys that stand in the
// packet itself. A hello may take several datagrams and come in any order of its parts: what there is of it is kept for
// each socket, within bounds. Hostile input expected; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "agent/base/lru_map.h"
#include "agent/decode/client_hello.h"

namespace keytrail::decode {

struct QuicHello {
  bool readable = false;  ///< an Initial packet whose content is what its sender encrypted
  bool whole = false;     ///< `hello` is; else its other parts are in datagrams to come
  ClientHello hello;
};

class QuicHellos {
 public:
  explicit QuicHellos(std::size_t sockets = 256) : parts_(sockets) {}

  /// `datagram`: one, or several that leave at once.
  [[nodiscard]] QuicHello read(std::uint64_t cookie, std::span<const std::byte> datagram);
  /// The same of packets whose encryption is taken off.
  [[nodiscard]] QuicHello add(std::uint64_t cookie, std::span<const std::string> packets);

 private:
  using Parts = std::map<std::uint64_t, std::string>;  ///< of a ClientHello, by offset
  base::LruMap<std::uint64_t, Parts> parts_;
};

}  // namespace keytrail::decode
