// SPDX-License-Identifier: Apache-2.0
#include "agent/base/siphash.h"

#include <string.h>

#include <algorithm>
#include <bit>

namespace keytrail::base {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

struct State {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void absorb(std::uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  std::uint64_t squeeze() {
    for (int i = 0; i < 4; ++i)
      round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

std::uint64_t word_at(const std::uint8_t* from, std::size_t bytes = 8) {
  std::uint64_t word = 0;
  memcpy(&word, from, bytes);
  return word;
}

}  // namespace

std::array<std::uint8_t, 16> siphash_2_4_128(const SipKey& key, std::span<const std::uint8_t> data) {
  const std::uint64_t k0 = word_at(key.data());
  const std::uint64_t k1 = word_at(key.data() + 8);
  State s{0x736f6d6570736575U ^ k0, 0x646f72616e646f6dU ^ k1 ^ 0xeeU, 0x6c7967656e657261U ^ k0,
          0x7465646279746573U ^ k1};
  std::size_t at = 0;
  for (; data.size() - at >= 8; at += 8)
    s.absorb(word_at(data.data() + at));
  const std::size_t rest = data.size() - at;
  const std::uint64_t tail = rest == 0 ? 0 : word_at(data.data() + at, rest);
  s.absorb((std::uint64_t{data.size()} << 56U) | tail);
  s.v2 ^= 0xeeU;
  const std::uint64_t low = s.squeeze();
  s.v1 ^= 0xddU;
  const std::uint64_t high = s.squeeze();
  std::array<std::uint8_t, 16> out;
  memcpy(out.data(), &low, 8);
  memcpy(out.data() + 8, &high, 8);
  return out;
}

Fingerprint fingerprint_of(const SipKey& key, std::string_view value) {
  std::array<std::uint8_t, 8 + kHashedBytes> buffer;
  const std::uint64_t length = value.size();
  const std::size_t hashed = std::min(value.size(), kHashedBytes);
  memcpy(buffer.data(), &length, 8);
  if (hashed > 0) memcpy(buffer.data() + 8, value.data(), hashed);
  Fingerprint out{siphash_2_4_128(key, {buffer.data(), 8 + hashed})};
  explicit_bzero(buffer.data(), buffer.size());
  return out;
}

}  // namespace keytrail::base
