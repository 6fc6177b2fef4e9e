// SPDX-License-Identifier: Apache-2.0
// A second, plain writing of SipHash-2-4-128, to compare the kernel side's with.
#include <bit>

#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {
namespace {

struct State {
  std::array<std::uint64_t, 4> v;
  void round() {
    v[0] += v[1], v[1] = std::rotl(v[1], 13) ^ v[0], v[0] = std::rotl(v[0], 32);
    v[2] += v[3], v[3] = std::rotl(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = std::rotl(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = std::rotl(v[1], 17) ^ v[2], v[2] = std::rotl(v[2], 32);
  }
  [[nodiscard]] std::uint64_t folded() const { return v[0] ^ v[1] ^ v[2] ^ v[3]; }
};

std::uint64_t word(std::string_view bytes) {
  std::uint64_t out = 0;
  memcpy(&out, bytes.data(), bytes.size());
  return out;
}

}  // namespace

std::array<std::uint8_t, 16> siphash_raw(const std::array<std::uint8_t, 16>& key, std::string_view message) {
  std::uint64_t k0 = 0;
  std::uint64_t k1 = 0;
  memcpy(&k0, key.data(), 8);
  memcpy(&k1, key.data() + 8, 8);
  State s{
      {k0 ^ 0x736f6d6570736575U, k1 ^ 0x646f72616e646f6dU ^ 0xeeU, k0 ^ 0x6c7967656e657261U, k1 ^ 0x7465646279746573U}};
  std::string padded(message);
  padded.resize(message.size() / 8 * 8 + 7, '\0');
  padded.push_back(static_cast<char>(message.size() & 0xffU));
  padded.resize((message.size() / 8 + 1) * 8);
  for (std::size_t i = message.size() / 8 * 8 + (message.size() % 8); i + 1 < padded.size(); ++i)
    padded[i] = '\0';
  padded.back() = static_cast<char>(message.size() & 0xffU);
  for (std::size_t i = 0; i < padded.size(); i += 8) {
    const std::uint64_t m = word(std::string_view(padded).substr(i, 8));
    s.v[3] ^= m;
    s.round(), s.round();
    s.v[0] ^= m;
  }
  std::array<std::uint64_t, 2> out{};
  s.v[2] ^= 0xeeU;
  for (int i = 0; i < 4; ++i)
    s.round();
  out[0] = s.folded();
  s.v[1] ^= 0xddU;
  for (int i = 0; i < 4; ++i)
    s.round();
  out[1] = s.folded();
  return std::bit_cast<std::array<std::uint8_t, 16>>(out);
}

std::array<std::uint8_t, 16> siphash_value(const std::array<std::uint8_t, 16>& key, std::string_view value) {
  const std::uint64_t length = value.size();
  std::string message(reinterpret_cast<const char*>(&length), sizeof(length));
  message += value.substr(0, KT_HASHED_MAX);
  return siphash_raw(key, message);
}

TEST(SipHash, AgreesWithTheReferenceVectors) {
  // vectors_sip128 of the reference implementation: key 00…0f, messages of 0 and 1 bytes (00)
  EXPECT_EQ(siphash_raw(kKey, ""), (std::array<std::uint8_t, 16>{0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d,
                                                                 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93}));
  EXPECT_EQ(siphash_raw(kKey, std::string_view("\0", 1)),
            (std::array<std::uint8_t, 16>{0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b,
                                          0x22, 0xfc, 0x45}));
}

}  // namespace keytrail::tests
