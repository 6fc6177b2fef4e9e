// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/quic.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/decode/bytes.h"

namespace keytrail::decode {
namespace {

using Data = std::span<const std::byte>;
using Secret = std::array<unsigned char, 32>;

constexpr std::uint32_t kVersion1 = 1, kVersion2 = 0x6B3343CF;
constexpr std::size_t kMaxConnectionId = 20, kTag = 16, kSample = 16, kKey = 16, kNonce = 12;
// Of one socket. A ClientHello with post-quantum shares takes 1,800 bytes; browsers cut theirs into a dozen parts.
constexpr std::size_t kMaxHello = 16384, kMaxParts = 128, kMaxPackets = 16;
constexpr std::array<unsigned char, 20> kSalt1{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                               0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
constexpr std::array<unsigned char, 20> kSalt2{0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                                               0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9};

const unsigned char* raw(Data bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

// RFC 9000 section 16.
std::uint64_t varint(Bytes& in) {
  const std::uint8_t first = in.u8();
  std::uint64_t value = first & 0x3FU;
  for (unsigned left = (1U << (first >> 6U)) - 1; left > 0; --left)
    value = value << 8U | in.u8();
  return value;
}

Secret hmac(std::span<const unsigned char> key, std::span<const unsigned char> text) {
  Secret out{};
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), text.data(), text.size(), out.data(), nullptr);
  return out;
}

// HKDF-Expand-Label (RFC 8446 section 7.1) of at most 32 bytes, without a context.
Secret expand(const Secret& secret, std::string_view label, std::uint8_t length) {
  std::string info{'\0', static_cast<char>(length), static_cast<char>(6 + label.size())};
  info.append("tls13 ").append(label).append({'\0', '\1'});
  return hmac(secret, std::span(reinterpret_cast<const unsigned char*>(info.data()), info.size()));
}

struct Keys {
  Secret key, iv, header;
};

// RFC 9001 section 5.2: all that is secret in them is the connection id that the packet shows.
Keys keys_of(std::uint32_t version, Data connection_id) {
  const auto& salt = version == kVersion2 ? kSalt2 : kSalt1;
  const Secret client = expand(hmac(salt, std::span(raw(connection_id), connection_id.size())), "client in", 32);
  const std::string quic = version == kVersion2 ? "quicv2 " : "quic ";
  return {expand(client, quic + "key", kKey), expand(client, quic + "iv", kNonce), expand(client, quic + "hp", kKey)};
}

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

std::optional<std::array<unsigned char, kSample>> header_mask(const Secret& key, Data sample) {
  std::array<unsigned char, kSample> mask{};
  const Cipher cipher(EVP_CIPHER_CTX_new());
  int n = 0;
  if (!cipher || EVP_EncryptInit_ex(cipher.get(), EVP_aes_128_ecb(), nullptr, key.data(), nullptr) != 1 ||
      EVP_CIPHER_CTX_set_padding(cipher.get(), 0) != 1 ||
      EVP_EncryptUpdate(cipher.get(), mask.data(), &n, raw(sample), static_cast<int>(sample.size())) != 1)
    return std::nullopt;
  return mask;
}

// What was encrypted; nothing when it was not with these keys.
std::optional<std::string> open_packet(const Keys& keys, std::span<const unsigned char> nonce,
                                       std::span<const unsigned char> header, Data sealed) {
  const Data tag = sealed.last(kTag), text = sealed.first(sealed.size() - kTag);
  std::string out(text.size(), '\0');
  std::array<unsigned char, kTag> expected{};
  std::copy_n(raw(tag), kTag, expected.begin());
  const Cipher cipher(EVP_CIPHER_CTX_new());
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  int n = 0;
  if (!cipher || EVP_DecryptInit_ex(cipher.get(), EVP_aes_128_gcm(), nullptr, keys.key.data(), nonce.data()) != 1 ||
      EVP_DecryptUpdate(cipher.get(), nullptr, &n, header.data(), static_cast<int>(header.size())) != 1 ||
      EVP_DecryptUpdate(cipher.get(), to, &n, raw(text), static_cast<int>(text.size())) != 1 ||
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTag, expected.data()) != 1 ||
      EVP_DecryptFinal_ex(cipher.get(), to + n, &n) != 1)
    return std::nullopt;
  return out;
}

// The next packet of a datagram, where it is an Initial: its frames. `datagram` becomes what is behind it.
std::optional<std::string> next_packet(Data& datagram) {
  const Data all = datagram;
  Bytes in(all);
  const std::uint8_t first = in.u8();
  const std::uint32_t version = in.u32();
  const bool initial =
      (version == kVersion1 && (first & 0xF0U) == 0xC0) || (version == kVersion2 && (first & 0xF0U) == 0xD0);
  const Data connection_id = in.take(in.u8());
  in.take(in.u8());     // the sender's own
  in.take(varint(in));  // token
  const std::uint64_t length = varint(in);
  datagram = {};
  if (!in.ok() || !initial || connection_id.size() > kMaxConnectionId || length > in.left() || length < 4 + kSample)
    return std::nullopt;
  const std::size_t number_at = all.size() - in.left();
  const Data body = in.take(length);
  datagram = all.subspan(number_at + length);
  const Keys keys = keys_of(version, connection_id);
  const auto mask = header_mask(keys.header, body.subspan(4, kSample));
  if (!mask) return std::nullopt;
  std::string header(reinterpret_cast<const char*>(all.data()), number_at);
  header[0] = static_cast<char>(first ^ ((*mask)[0] & 0x0FU));
  const std::size_t number_size = (static_cast<unsigned>(header[0]) & 3U) + 1;
  std::array<unsigned char, kNonce> nonce{};
  std::copy_n(keys.iv.begin(), kNonce, nonce.begin());
  for (std::size_t i = 0; i < number_size; ++i) {
    const auto byte = static_cast<unsigned char>(std::to_integer<unsigned>(body[i]) ^ (*mask)[1 + i]);
    header += static_cast<char>(byte);
    nonce[kNonce - number_size + i] ^= byte;
  }
  return open_packet(keys, nonce, std::span(reinterpret_cast<const unsigned char*>(header.data()), header.size()),
                     body.subspan(number_size));
}

void skip_ack(Bytes& in, bool with_counts) {
  varint(in);  // the largest
  varint(in);  // the delay
  const std::uint64_t ranges = varint(in);
  varint(in);  // the first
  for (std::uint64_t i = 0; i < 2 * ranges + (with_counts ? 3 : 0) && in.ok(); ++i)
    varint(in);
}

// RFC 9000 section 19, as far as an Initial may hold it. Parts beyond the bounds are left out.
void take_frames(std::string_view frames, std::map<std::uint64_t, std::string>& parts) {
  Bytes in(std::as_bytes(std::span(frames)));
  std::size_t kept = 0;
  for (const auto& [offset, part] : parts)
    kept += part.size();
  while (in.left() > 0 && in.ok()) {
    const std::uint64_t type = varint(in);
    if (type <= 1) continue;  // padding, ping
    if (type == 2 || type == 3) {
      skip_ack(in, type == 3);
      continue;
    }
    if (type != 6) return;
    const std::uint64_t offset = varint(in), length = varint(in);
    const Data part = length <= in.left() ? in.take(length) : Data{};
    if (!in.ok() || part.size() != length || offset > kMaxHello) return;
    const std::string_view text = text_of(part);
    // Other bytes at the same place: the socket begins another connection.
    if (const auto known = parts.find(offset);
        known != parts.end() && !text.starts_with(known->second) && !known->second.starts_with(text)) {
      parts.clear();
      kept = 0;
    }
    if (length == 0 || parts.size() >= kMaxParts || kept + length > kMaxHello) continue;
    kept += length;
    std::string& known = parts[offset];
    if (known.size() < length) known = text;
  }
}

std::string joined(const std::map<std::uint64_t, std::string>& parts) {
  std::string out;
  for (const auto& [offset, part] : parts) {
    if (offset > out.size()) break;
    if (offset + part.size() > out.size()) out.append(part, out.size() - offset);
  }
  return out;
}

}  // namespace

QuicHello QuicHellos::read(std::uint64_t cookie, std::span<const std::byte> datagram) {
  std::vector<std::string> packets;
  for (std::size_t i = 0; i < kMaxPackets && !datagram.empty(); ++i) {
    if (auto frames = next_packet(datagram)) packets.push_back(*std::move(frames));
  }
  return add(cookie, packets);
}

QuicHello QuicHellos::add(std::uint64_t cookie, std::span<const std::string> packets) {
  QuicHello out{.readable = !packets.empty()};
  Parts* parts = parts_.find(cookie);
  Parts fresh;
  if (parts == nullptr) parts = &fresh;
  for (const std::string& frames : packets)
    take_frames(frames, *parts);
  const std::string hello = joined(*parts);
  Bytes in(std::as_bytes(std::span(hello)));
  in.u8();
  const std::uint32_t length = in.u24();
  out.whole = in.ok() && in.left() >= length;
  if (out.whole) {
    out.hello = parse_handshake(std::as_bytes(std::span(hello)));
    parts_.erase(cookie);
  } else if (parts == &fresh && !fresh.empty()) {
    *parts_.get(cookie).first = std::move(fresh);
  }
  return out;
}

}  // namespace keytrail::decode
