// SPDX-License-Identifier: Apache-2.0
// Keys that encrypt and that no service takes: age identities, OpenPGP secret keys, keyfiles. Made for these tests with
// age's and GnuPG's own tools and used nowhere else; the expected ids are what those tools print.
#include <gtest/gtest.h>

#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

constexpr std::string_view kArmoured = R"(-----BEGIN PGP PRIVATE KEY BLOCK-----

lFgEawFZzhYJKwYBBAHaRw8BAQdAhoTRBupm2OHwHsd6MDoULzhAmf8puLttRo2l
4aen5kUAAQD0mHJLPfjnudBeOaDcnP5ZMOJgVX43KArtKQZWCCOCdQ83tBdUZXN0
IDx0ZXN0QGV4YW1wbGUuY29tPoiQBBMWCAA4FiEEDrJ6Bub4faTpiuu5V+g5+2UV
D/kFAmsBWc4CGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQV+g5+2UVD/m1
qAEA+SP3nlnP0ngVP3CinxelodV/Lf1UVIJJ27sq9CWIsIgBAP3cC8TPJCh3nMKv
ckg7k6hNmn51evsFqSIOezXxg7AHnF0EawFZzhIKKwYBBAGXVQEFAQEHQLjjdj05
UoNckk25svgK+jBdpmuHCIm/oUrwyNqiriA6AwEIBwAA/1+iiiOiv5PhyIuMHBEG
Oy0fRCgTQxT59bPh0kBeWDmwDySIeAQYFggAIBYhBA6yegbm+H2k6YrruVfoOftl
FQ/5BQJrAVnOAhsMAAoJEFfoOftlFQ/5HGUA/048HYM4ZWZzP77Zj568xzAmb0Ai
gkDun1F4D0uEQxh1AP9P+Ugwr2g7UVwtsa54ly55h+q7DEftRVzv9PbZ+8wHAA==
=4XZC
-----END PGP PRIVATE KEY BLOCK-----
)";

constexpr std::string_view kIdentity = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ2W5V5L";
constexpr std::string_view kRecipient = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq9zr5vh";

TEST(AgeIdentity, IsNamedByItsRecipient) {
  Bench bench;
  const Found found = bench.parse("age_identity",
                                  "# created: 2026-11-21T00:00:00Z\n# public key: " + std::string(kRecipient) + "\n" +
                                      std::string(kIdentity) + "\nAGE-PLUGIN-YUBIKEY-1QQQQQQQQQQQQQQQQQQQQQQ\n",
                                  "age.key", false, KeyClass::kEncryptionKey);
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].key.id, kRecipient);
  EXPECT_EQ(found.keys[0].key.kind, "age.key");
  EXPECT_EQ(found.keys[0].key.key_class, KeyClass::kEncryptionKey);
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print(kIdentity));
  EXPECT_EQ(found.keys[1].key.id, found.keys[1].key.fingerprint.text()) << "no recipient is beside it";
}

TEST(AgeIdentity, AnEncryptedFileIsItsBytesAndOtherTextIsNone) {
  Bench bench;
  EXPECT_EQ(bench.parse("age_identity", "age-encryption.org/v1\n-> scrypt abc 18\nxyz\n").keys.size(), 1U);
  EXPECT_EQ(bench.parse("age_identity", "hello\n").unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("age_identity", "AGE-SECRET-KEY-1lower\n" + std::string(kIdentity) + "\n").skipped, 1U);
}

TEST(GpgPrivateKey, HasTheFingerprintThatGpgShows) {
  Bench bench;
  const Found found = bench.parse("gpg_private_key", kArmoured, "gpg.private_key", false, KeyClass::kEncryptionKey);
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].key.id, "0EB27A06E6F87DA4E98AEBB957E839FB65150FF9");
  EXPECT_EQ(found.keys[0].key.principal, "Test <test@example.com>");
  EXPECT_EQ(found.keys[1].key.id, "58AA433E758D08622F53AD6CE44AC3437F038AF4");
  EXPECT_EQ(found.keys[0].key.key_class, KeyClass::kEncryptionKey);
  EXPECT_FALSE(found.keys[0].key.fingerprint.empty());
  EXPECT_EQ(found.skipped, 0U);
}

TEST(GpgPrivateKey, ReadsARingOfPackets) {
  Bench bench;
  const std::size_t begin = kArmoured.find("\n\n") + 2;
  std::string_view packets;
  ASSERT_TRUE(decode_base64(kArmoured.substr(begin, kArmoured.find("\n=") - begin), false, bench.scratch, packets));
  const std::string ring(packets);
  EXPECT_EQ(bench.parse("gpg_private_key", ring).keys.at(1).key.id, "58AA433E758D08622F53AD6CE44AC3437F038AF4");
  for (std::size_t length = 0; length < ring.size(); ++length)  // cut anywhere: less, and no harm
    EXPECT_LE(bench.parse("gpg_private_key", std::string_view(ring).substr(0, length)).keys.size(), 2U);
}

TEST(GpgPrivateKey, TheAgentsFileIsAKeyAndARevocationIsNone) {
  Bench bench;
  EXPECT_EQ(
      bench.parse("gpg_private_key", "Created: 20261121T084358\nKey: (private-key (ecc (curve Ed25519)(d #00#)))\n")
          .keys.size(),
      1U);
  EXPECT_EQ(bench.parse("gpg_private_key", "(21:protected-private-key(3:rsa(1:n4:abcd)))").keys.size(), 1U);
  const Found revocation = bench.parse(
      "gpg_private_key", "This is a revocation certificate\n:-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxyz\n");
  EXPECT_TRUE(revocation.keys.empty());
  EXPECT_EQ(revocation.unread, role::Unread::kNone);
  EXPECT_EQ(bench.parse("gpg_private_key", "hello").unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("gpg_private_key", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nabcd\n").unread,
            role::Unread::kUnknownFormat);
}

TEST(Keyfile, IsEveryByteOfIt) {
  Bench bench;
  const std::string bytes("\0 AKIAAAAAAAAAAAAAAAAA\n\xff", 24);
  const Found found = bench.parse("keyfile", bytes, "disk.key", false, KeyClass::kEncryptionKey);
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "disk.key");
  EXPECT_EQ(found.keys[0].key.key_class, KeyClass::kEncryptionKey);
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print(bytes));
  EXPECT_EQ(label_of(bench.parse("keyfile", "short", "disk.key").keys.at(0).key.id), "disk.key")
      << "a short one can be guessed";
  EXPECT_EQ(bench.parse("keyfile", "").keys.size(), 0U);
}

}  // namespace
}  // namespace keytrail::examine
