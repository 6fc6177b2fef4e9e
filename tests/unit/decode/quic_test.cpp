// SPDX-License-Identifier: Apache-2.0
// Initial packets, sealed here with the keys that RFC 9001 publishes for its example's connection id.
#include "agent/decode/quic.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>

namespace keytrail::decode {
namespace {

std::string bytes_of(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

// RFC 9001, appendix A.1 and A.2.
const std::string kConnectionId = bytes_of("8394c8f03e515708");
const std::string kKey = bytes_of("1f369613dd76d5467730efcbe3b1a22d");
const std::string kIv = bytes_of("fa044b2f42a3fd3b46fb255c");
const std::string kHeaderKey = bytes_of("9f50449e04a0e810283a1e9933adedd2");
const std::string kHello = bytes_of(
    "010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c000000010000e0000"
    "0b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e0005000501000000000033002600240"
    "01d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e0403050306030203"
    "080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f"
    "088394c8f03e51570806048000ffff");

const unsigned char* raw(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* raw(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

std::string two_bytes(std::size_t value) {  // a varint of two bytes
  return {static_cast<char>(0x40U | value >> 8U), static_cast<char>(value & 0xFFU)};
}

std::string crypto(std::size_t offset, std::string_view part) {
  return "\x06" + two_bytes(offset) + two_bytes(part.size()) + std::string(part);
}

std::string encrypt(const EVP_CIPHER* cipher, const std::string& key, const std::string& nonce,
                    const std::string& header, const std::string& text, bool tagged) {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  std::string out(text.size() + 16, '\0');
  int n = 0;
  EVP_EncryptInit_ex(context, cipher, nullptr, raw(key), nonce.empty() ? nullptr : raw(nonce));
  if (!header.empty()) EVP_EncryptUpdate(context, nullptr, &n, raw(header), static_cast<int>(header.size()));
  EVP_EncryptUpdate(context, raw(out), &n, raw(text), static_cast<int>(text.size()));
  out.resize(text.size());
  if (tagged) {
    std::array<unsigned char, 16> tag{};
    int rest = 0;
    EVP_EncryptFinal_ex(context, raw(out) + n, &rest);
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, tag.data());
    out.append(tag.begin(), tag.end());
  }
  EVP_CIPHER_CTX_free(context);
  return out;
}

/// An Initial packet with number 2, as the RFC's example.
std::string sealed(std::string frames) {
  if (frames.size() < 1162) frames.resize(1162, '\0');
  std::string header = bytes_of("c30000000108") + kConnectionId + bytes_of("0000") + two_bytes(frames.size() + 20) +
                       bytes_of("00000002");
  std::string nonce = kIv;
  nonce.back() = static_cast<char>(nonce.back() ^ 2);
  const std::string body = encrypt(EVP_aes_128_gcm(), kKey, nonce, header, frames, true);
  const std::string mask = encrypt(EVP_aes_128_ecb(), kHeaderKey, {}, {}, body.substr(0, 16), false);
  header[0] = static_cast<char>(header[0] ^ (mask[0] & 0x0F));
  for (std::size_t i = 0; i < 4; ++i)
    header[header.size() - 4 + i] = static_cast<char>(header[header.size() - 4 + i] ^ mask[1 + i]);
  return header + body;
}

std::span<const std::byte> span_of(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(QuicTest, ReadsTheExampleOfTheRfc) {
  const std::string packet = sealed(std::string("\x06\0", 2) + two_bytes(kHello.size()) + kHello);
  ASSERT_EQ(packet.size(), 1200U);
  ASSERT_EQ(packet.substr(0, 32), bytes_of("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11"));
  QuicHellos quic;
  const QuicHello read = quic.read(1, span_of(packet));
  EXPECT_TRUE(read.readable && read.whole);
  EXPECT_EQ(read.hello.sni, "example.com");
}

TEST(QuicTest, AHelloOverSeveralDatagramsAndOutOfOrder) {
  QuicHellos quic;
  const std::string first = sealed("\x01" + crypto(180, kHello.substr(180)) + crypto(0, kHello.substr(0, 40)));
  const std::string second = sealed(crypto(40, kHello.substr(40, 140)));
  const QuicHello part = quic.read(7, span_of(first));
  EXPECT_TRUE(part.readable);
  EXPECT_FALSE(part.whole);
  EXPECT_FALSE(quic.read(8, span_of(second)).whole) << "another socket's";
  EXPECT_EQ(quic.read(7, span_of(second)).hello.sni, "example.com");
}

TEST(QuicTest, PacketsThatLeaveAtOnce) {
  QuicHellos quic;
  const std::string both = sealed(crypto(0, kHello.substr(0, 100))) + sealed(crypto(100, kHello.substr(100)));
  EXPECT_EQ(quic.read(1, span_of(both)).hello.sni, "example.com");
}

TEST(QuicTest, WhatWasNotSealedSoSaysNothing) {
  QuicHellos quic;
  std::string packet = sealed(crypto(0, kHello));
  packet[300] = static_cast<char>(packet[300] ^ 1);
  EXPECT_FALSE(quic.read(1, span_of(packet)).readable);
  packet = sealed(crypto(0, kHello));
  for (std::size_t size = 0; size < packet.size(); ++size)
    EXPECT_FALSE(quic.read(1, span_of(packet).first(size)).readable) << size;
}

TEST(QuicTest, WhatIsKeptIsBounded) {
  QuicHellos quic(2);
  for (std::size_t at = 16'000; at > 200; at -= 100)  // more parts than are kept, and never the first
    EXPECT_FALSE(quic.read(1, span_of(sealed(crypto(at, std::string(100, 'x'))))).whole);
  const std::string half = sealed(crypto(0, kHello.substr(0, 100))), rest = sealed(crypto(100, kHello.substr(100)));
  (void)quic.read(2, span_of(half));
  (void)quic.read(3, span_of(half));
  (void)quic.read(4, span_of(half));
  EXPECT_FALSE(quic.read(2, span_of(rest)).whole) << "forgotten";
  EXPECT_TRUE(quic.read(4, span_of(rest)).whole);
}

}  // namespace
}  // namespace keytrail::decode
