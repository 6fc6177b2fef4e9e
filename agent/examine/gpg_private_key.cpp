// SPDX-License-Identifier: Apache-2.0
// OpenPGP secret keys: gpg-agent's files (private-keys-v1.d: an S-expression, its keygrip is the file's name), and key
// rings as packets, armoured or not (RFC 4880, 5.5.3 and 12.2; RFC 9580): the id is the fingerprint that gpg shows.
// Encryption keys.
#include <openssl/evp.h>

#include <array>

#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

constexpr std::size_t kMaxPackets = 4096;
constexpr unsigned kSecretKey = 5;
constexpr unsigned kSecretSubkey = 7;
constexpr unsigned kUserId = 13;

/// Reads big-endian numbers off the front; `sound` is false once there was too little.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}

  std::size_t number(std::size_t length) {
    const std::string_view taken = take(length);
    std::size_t out = 0;
    for (const char c : taken)
      out = (out << 8U) | static_cast<unsigned char>(c);
    return out;
  }
  std::string_view take(std::size_t length) {
    sound_ = sound_ && length <= bytes_.size();
    if (!sound_) return {};
    const std::string_view out = bytes_.substr(0, length);
    bytes_.remove_prefix(length);
    return out;
  }
  void skip_mpi() { (void)take((number(2) + 7) / 8); }
  [[nodiscard]] bool sound() const { return sound_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
  bool sound_ = true;
};

struct Packet {
  unsigned tag = 0;
  std::string_view body;
};

/// The next packet of definite length; false at the end, or where it is none.
bool next_packet(Cursor& cursor, Packet& out) {
  if (cursor.left() == 0) return false;
  const std::size_t head = cursor.number(1);
  if ((head & 0x80U) == 0) return false;
  std::size_t length = 0;
  if ((head & 0x40U) != 0) {
    out.tag = static_cast<unsigned>(head & 0x3fU);
    length = cursor.number(1);
    if (length >= 224 && length < 255) return false;  // partial: not for keys
    if (length == 255) {
      length = cursor.number(4);
    } else if (length >= 192) {
      length = ((length - 192) << 8U) + cursor.number(1) + 192;
    }
  } else {
    out.tag = static_cast<unsigned>((head >> 2U) & 0xfU);
    if ((head & 3U) == 3) return false;
    length = cursor.number(std::size_t{1} << (head & 3U));
  }
  out.body = cursor.take(length);
  return cursor.sound();
}

/// How long the public part of a version 4 key is; 0 for what is not known.
std::size_t public_length(std::string_view body) {
  Cursor cursor(body);
  if (cursor.number(1) != 4) return 0;
  (void)cursor.take(4);
  const std::size_t algorithm = cursor.number(1);
  std::size_t numbers = 0;
  bool curve = false;
  switch (algorithm) {
    case 1:
    case 2:
    case 3:
      numbers = 2;  // RSA
      break;
    case 16:
      numbers = 3;  // Elgamal
      break;
    case 17:
      numbers = 4;  // DSA
      break;
    case 18:
    case 19:
    case 22:
      numbers = 1;  // ECDH, ECDSA, EdDSA
      curve = true;
      break;
    default:
      return 0;
  }
  if (curve) (void)cursor.take(cursor.number(1));
  for (std::size_t i = 0; i < numbers; ++i)
    cursor.skip_mpi();
  if (algorithm == 18) (void)cursor.take(cursor.number(1));  // ECDH's hash and cipher
  return cursor.sound() ? body.size() - cursor.left() : 0;
}

/// SHA-1 over 0x99, the length and the public part, in capitals as gpg prints it.
std::string fingerprint_of(std::string_view public_part) {
  std::string text = "\x99";
  text += static_cast<char>(public_part.size() >> 8U);
  text += static_cast<char>(public_part.size() & 0xffU);
  text.append(public_part);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha1(), nullptr) != 1) return {};
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned i = 0; i < length; ++i) {
    out += kHex[digest[i] >> 4U];
    out += kHex[digest[i] & 15U];
  }
  return out;
}

KeyFact gpg_fact(const Work& work) {
  return work.fact("gpg.private_key", KeyClass::kEncryptionKey, Lifetime::kLongLived);
}

bool add_packets(std::string_view bytes, Work& work) {
  Cursor cursor(bytes);
  Packet packet;
  std::size_t primary = SIZE_MAX;  // where the key is whose user id may follow
  std::size_t seen = 0;
  while (seen < kMaxPackets && next_packet(cursor, packet)) {
    ++seen;
    if (packet.tag == kSecretKey || packet.tag == kSecretSubkey) {
      const std::size_t length = public_length(packet.body);
      if (length == 0 || length > UINT16_MAX) {
        work.skip();
        continue;
      }
      KeyFact fact = gpg_fact(work);
      fact.key.id = fingerprint_of(packet.body.substr(0, length));
      if (packet.tag == kSecretKey) primary = work.found().keys.size();
      work.add(std::move(fact), packet.body);
    } else if (packet.tag == kUserId && primary < work.found().keys.size() && is_name(packet.body, 254)) {
      std::string& owner = work.found().keys[primary].key.principal;
      if (owner.empty()) owner = std::string(packet.body);
    }
  }
  return seen > 0;
}

/// The base64 between the markers, without header lines and the checksum line.
bool add_armoured(std::string_view text, Work& work) {
  const std::size_t begin = text.find('\n');
  const std::size_t end = text.find("-----END PGP PRIVATE KEY BLOCK-----");
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return false;
  std::string_view body = text.substr(begin, end - begin);
  for (const std::string_view blank : {"\n\n", "\n\r\n", "\r\n\r\n"}) {
    if (const std::size_t at = body.find(blank); at != std::string_view::npos) body = body.substr(at);
  }
  body = body.substr(0, body.find("\n="));
  std::string_view packets;
  return decode_base64(body, false, work.scratch(), packets) && add_packets(packets, work);
}

}  // namespace

role::Unread gpg_private_key(std::string_view bytes, Work& work) {
  const std::string_view text = trimmed(bytes);
  if (text.empty()) return role::Unread::kNone;
  // "(11:private-key(…", "(21:protected-private-key(…", or "Key: (private-key …" with a header. A revocation is
  // no key.
  const bool agents =
      text.starts_with('(') || text.starts_with("Key:") || text.find("\nKey:") != std::string_view::npos;
  if (agents && text.substr(0, 4096).find("private-key") != std::string_view::npos) {
    work.add(gpg_fact(work), text);
    return role::Unread::kNone;
  }
  if (const std::size_t at = text.find("-----BEGIN PGP PRIVATE KEY BLOCK-----"); at != std::string_view::npos)
    return add_armoured(text.substr(at), work) ? role::Unread::kNone : role::Unread::kUnknownFormat;
  if (text.find("-----BEGIN PGP PUBLIC KEY BLOCK-----") != std::string_view::npos) return role::Unread::kNone;
  return add_packets(bytes, work) ? role::Unread::kNone : role::Unread::kUnknownFormat;
}

}  // namespace keytrail::examine::format
