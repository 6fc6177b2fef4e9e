// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/client_hello.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "agent/base/host.h"
#include "agent/decode/bytes.h"

namespace keytrail::decode {
namespace {

constexpr std::uint8_t kHandshakeRecord = 22;
constexpr std::uint8_t kClientHello = 1;
constexpr std::size_t kMaxRecord = 16384 + 256;
// More than leaves the kernel side; post-quantum hellos take up to about 5,500.
constexpr std::size_t kMaxHello = 16384;
constexpr std::size_t kMaxAlpn = 64;
constexpr std::uint16_t kServerName = 0, kAlpn = 16, kEch = 0xFE0D;

using Buffer = std::array<std::byte, kMaxHello>;

struct Handshake {
  std::size_t size = 0;
  bool tls = false;
  bool malformed = false;
};

// Puts the handshake bytes of all records together.
Handshake join_records(std::span<const std::byte> data, Buffer& out) {
  Handshake joined;
  Bytes in(data);
  while (in.left() > 0) {
    const std::uint8_t type = in.u8();
    const std::uint16_t version = in.u16();
    const std::uint16_t length = in.u16();
    if (!in.ok()) return joined;  // cut inside a record's header
    if (type != kHandshakeRecord || (version >> 8U) != 3 || length == 0 || length > kMaxRecord) {
      joined.malformed = joined.tls;  // something else after the first record ends the hello
      return joined;
    }
    joined.tls = true;
    const auto part = in.take_up_to(length).bytes;
    const std::size_t fits = std::min(part.size(), out.size() - joined.size);
    if (fits > 0) std::memcpy(out.data() + joined.size, part.data(), fits);
    joined.size += fits;
    if (fits < part.size()) return joined;
  }
  return joined;
}

// True when the name is known, or known to be absent.
bool read_server_name(Bytes extension, ClientHello& out) {
  Bytes list(extension.take_up_to(extension.u16()).bytes);
  while (list.ok() && list.left() > 0) {
    const std::uint8_t type = list.u8();
    const auto name = list.take(list.u16());
    if (!list.ok()) return false;
    if (type != 0) continue;  // host_name is the only type there is
    out.sni = base::host_name(text_of(name));
    return !out.sni.empty();
  }
  return false;
}

void read_alpn(Bytes extension, ClientHello& out) {
  Bytes list(extension.take_up_to(extension.u16()).bytes);
  while (list.left() > 0) {
    const auto protocol = text_of(list.take(list.u8()));
    const bool plain =
        std::all_of(protocol.begin(), protocol.end(), [](char c) { return c > ' ' && c < 0x7F && c != ','; });
    if (!list.ok() || protocol.empty() || out.alpn.size() + protocol.size() + 1 > kMaxAlpn) return;
    if (!plain) continue;  // GREASE
    if (!out.alpn.empty()) out.alpn += ',';
    out.alpn += protocol;
  }
}

// `extensions`: what is there of the block; `whole`: all of it is.
void read_extensions(Bytes extensions, bool whole, ClientHello& out) {
  bool name_settled = false;
  bool name_seen = false;
  while (extensions.left() > 0) {
    const std::uint16_t type = extensions.u16();
    const std::uint16_t length = extensions.u16();
    const auto body = extensions.take_up_to(length);
    if (!extensions.ok() || !body.whole) {
      out.truncated = !name_settled;
      out.malformed = whole;
      return;
    }
    switch (type) {
      case kServerName:
        // RFC 8446 section 4.2: at most once; servers refuse it, and a second name must not replace the first.
        if (name_seen) {
          out.malformed = true;
          return;
        }
        name_seen = true;
        name_settled = read_server_name(Bytes(body.bytes), out);
        out.truncated = !name_settled;
        break;
      case kAlpn:
        read_alpn(Bytes(body.bytes), out);
        break;
      case kEch:
        out.ech = true;
        break;
      default:
        break;
    }
  }
  if (!whole && !name_settled) out.truncated = true;
}

}  // namespace

ClientHello parse_client_hello(std::span<const std::byte> data) {
  Buffer buffer;  // not cleared: only the part that was written is read
  const Handshake joined = join_records(data, buffer);
  if (!joined.tls) return {};
  ClientHello out = parse_handshake(std::span<const std::byte>(buffer).first(joined.size));
  out.malformed = out.tls && (out.malformed || joined.malformed);
  return out;
}

ClientHello parse_handshake(std::span<const std::byte> data) {
  ClientHello out;
  out.tls = true;
  Bytes in(data);
  const std::uint8_t type = in.u8();
  if (in.ok() && type != kClientHello) {
    out.tls = false;
    return out;
  }
  const std::uint32_t length = in.u24();
  if (!in.ok()) {
    out.truncated = true;
    return out;
  }
  const auto body = in.take_up_to(length);
  Bytes hello(body.bytes);
  hello.take(2 + 32);                                             // legacy_version, random
  hello.take(hello.u8());                                         // legacy_session_id
  hello.take(hello.u16());                                        // cipher_suites
  hello.take(hello.u8());                                         // legacy_compression_methods
  if (hello.ok() && body.whole && hello.left() == 0) return out;  // a hello without extensions has no name
  const std::uint16_t extensions_length = hello.u16();
  if (!hello.ok()) {
    out.malformed = body.whole;
    out.truncated = true;
    return out;
  }
  const auto extensions = hello.take_up_to(extensions_length);
  read_extensions(Bytes(extensions.bytes), extensions.whole, out);
  out.malformed = out.malformed || (body.whole && !extensions.whole);
  return out;
}

}  // namespace keytrail::decode
