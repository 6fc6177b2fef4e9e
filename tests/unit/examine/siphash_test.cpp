// SPDX-License-Identifier: Apache-2.0
#include "agent/base/siphash.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <numeric>
#include <string>
#include <vector>

namespace keytrail::base {
namespace {

SipKey counting_key() {
  SipKey key;
  std::iota(key.begin(), key.end(), std::uint8_t{0});
  return key;
}

std::array<std::uint8_t, 16> openssl_siphash(const SipKey& key, const std::vector<std::uint8_t>& data) {
  std::array<std::uint8_t, 16> out{};
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "SIPHASH", nullptr);
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
  std::size_t size = out.size();
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
  EXPECT_EQ(EVP_MAC_init(context, key.data(), key.size(), params), 1);
  EVP_MAC_update(context, data.data(), data.size());
  std::size_t length = 0;
  EVP_MAC_final(context, out.data(), &length, out.size());
  EVP_MAC_CTX_free(context);
  EVP_MAC_free(mac);
  return out;
}

// github.com/veorq/SipHash, vectors.h, vectors_sip128[0], [1] and [2].
TEST(SipHash, GivesTheReferenceVectors) {
  const std::array<std::array<std::uint8_t, 16>, 3> expected{{
      {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93},
      {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45},
      {0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3, 0x8b, 0xde, 0xf6, 0x0a, 0xff, 0xe4},
  }};
  std::vector<std::uint8_t> data;
  for (std::size_t n = 0; n < expected.size(); ++n) {
    EXPECT_EQ(siphash_2_4_128(counting_key(), data), expected[n]) << n;
    data.push_back(static_cast<std::uint8_t>(n));
  }
}

TEST(SipHash, AgreesWithOpenSslForEveryLength) {
  std::vector<std::uint8_t> data;
  for (std::size_t n = 0; n < 600; ++n) {
    ASSERT_EQ(siphash_2_4_128(counting_key(), data), openssl_siphash(counting_key(), data)) << n;
    data.push_back(static_cast<std::uint8_t>(n * 7));
  }
}

TEST(FingerprintOf, HashesTheLengthAndTheFirst512Bytes) {
  const std::string value(600, 'x');
  std::vector<std::uint8_t> data{0x58, 0x02, 0, 0, 0, 0, 0, 0};
  data.insert(data.end(), 512, 'x');
  EXPECT_EQ(fingerprint_of(counting_key(), value).bytes, siphash_2_4_128(counting_key(), data));
}

TEST(FingerprintOf, DiffersByLengthAlone) {
  EXPECT_NE(fingerprint_of(counting_key(), std::string(600, 'x')),
            fingerprint_of(counting_key(), std::string(601, 'x')));
}

}  // namespace
}  // namespace keytrail::base
