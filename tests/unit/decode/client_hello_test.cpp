// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/client_hello.h"

#include <gtest/gtest.h>

#include "tests/unit/decode/wire.h"

namespace keytrail::decode {
namespace {

using test::Wire;

Wire extension(std::size_t type, const Wire& body) { return Wire().u16(type).u16(body.size()).add(body); }
Wire sni(std::string_view name) { return extension(0, Wire().u16(name.size() + 3).u8(0).u16(name.size()).text(name)); }
Wire alpn(std::initializer_list<std::string_view> protocols) {
  Wire list;
  for (std::string_view protocol : protocols)
    list.u8(static_cast<unsigned>(protocol.size())).text(protocol);
  return extension(16, Wire().u16(list.size()).add(list));
}
Wire handshake(const Wire& extensions) {
  Wire body = Wire().u16(0x0303).zeros(32).u8(32).zeros(32).u16(4).u16(0x1301).u16(0x0A0A).u8(1).u8(0);
  body.u16(extensions.size()).add(extensions);
  return Wire().u8(1).u24(body.size()).add(body);
}
Wire record(std::span<const std::byte> fragment) {
  Wire out = Wire().u8(22).u16(0x0301).u16(fragment.size());
  for (std::byte byte : fragment)
    out.u8(std::to_integer<unsigned>(byte));
  return out;
}
Wire hello(const Wire& extensions) { return record(handshake(extensions)); }

const Wire kFull = hello(Wire()
                             .add(extension(0x1A1A, Wire()))
                             .add(extension(43, Wire().u8(2).u16(0x0304)))
                             .add(sni("S3.Amazonaws.com"))
                             .add(alpn({"h2", "http/1.1"})));

TEST(ClientHelloTest, FindsNameAndProtocols) {
  const ClientHello found = parse_client_hello(kFull);
  EXPECT_TRUE(found.tls);
  EXPECT_EQ(found.sni, "s3.amazonaws.com");
  EXPECT_EQ(found.alpn, "h2,http/1.1");
  EXPECT_FALSE(found.ech || found.truncated || found.malformed);
}

TEST(ClientHelloTest, NameBehindAPostQuantumKeyShareIsFound) {
  const ClientHello found = parse_client_hello(hello(
      Wire().add(extension(51, Wire().zeros(1216 + 40))).add(extension(0xFAFA, Wire().u8(0))).add(sni("a.example"))));
  EXPECT_EQ(found.sni, "a.example");
  EXPECT_FALSE(found.truncated);
}

TEST(ClientHelloTest, HelloSplitOverRecordsIsPutTogether) {
  const Wire whole = handshake(Wire().add(extension(51, Wire().zeros(300))).add(sni("split.example")));
  for (std::size_t step : {std::size_t{1}, std::size_t{3}, std::size_t{100}, whole.size() - 1}) {
    Wire data;
    for (std::size_t at = 0; at < whole.size(); at += step) {
      data.add(record(std::span(whole.bytes()).subspan(at, std::min(step, whole.size() - at))));
    }
    EXPECT_EQ(parse_client_hello(data).sni, "split.example") << step;
  }
}

TEST(ClientHelloTest, WithoutANameItIsWholeAndNameless) {
  const ClientHello found = parse_client_hello(hello(alpn({"h2"})));
  EXPECT_TRUE(found.tls);
  EXPECT_EQ(found.sni, "");
  EXPECT_FALSE(found.truncated || found.malformed);
}

TEST(ClientHelloTest, WithoutExtensionsItIsWhole) {
  const Wire body = Wire().u16(0x0301).zeros(32).u8(0).u16(2).u16(0x002F).u8(1).u8(0);
  const ClientHello found = parse_client_hello(record(Wire().u8(1).u24(body.size()).add(body)));
  EXPECT_TRUE(found.tls);
  EXPECT_FALSE(found.truncated || found.malformed);
}

TEST(ClientHelloTest, EncryptedHelloIsSaid) {
  const ClientHello found =
      parse_client_hello(hello(Wire().add(sni("public.example")).add(extension(0xFE0D, Wire().u8(0).zeros(40)))));
  EXPECT_TRUE(found.ech);
  EXPECT_EQ(found.sni, "public.example");
}

TEST(ClientHelloTest, CutAnywhereItNeverInventsAName) {
  test::for_each_prefix(kFull, [](std::span<const std::byte> part) {
    const ClientHello found = parse_client_hello(part);
    EXPECT_TRUE(found.sni.empty() || found.sni == "s3.amazonaws.com") << found.sni;
    EXPECT_FALSE(found.malformed) << part.size();
    if (part.size() >= 6) {
      EXPECT_TRUE(found.tls);
      EXPECT_EQ(found.truncated, found.sni.empty()) << part.size();
    }
  });
}

TEST(ClientHelloTest, DamageIsSurvived) {
  test::for_each_damage(kFull, [](std::span<const std::byte> data) { (void)parse_client_hello(data); });
  test::for_each_damage(record(std::span(handshake(sni("x.y")).bytes()).first(20)),
                        [](std::span<const std::byte> data) { (void)parse_client_hello(data); });
}

TEST(ClientHelloTest, NameThatIsNoHostNameIsDropped) {
  using namespace std::string_view_literals;
  for (std::string_view name : {"a b"sv, "a\0b"sv, "\x1b]0;x\a"sv, ""sv, "a/b"sv}) {
    const ClientHello found = parse_client_hello(hello(sni(name)));
    EXPECT_EQ(found.sni, "");
    EXPECT_TRUE(found.truncated);
  }
}

TEST(ClientHelloTest, ASecondNameDoesNotReplaceTheFirst) {
  for (const Wire& second : {sni("b.example"), extension(0, Wire()), sni("no host name")}) {
    const ClientHello found = parse_client_hello(hello(Wire().add(sni("a.example")).add(second)));
    EXPECT_EQ(found.sni, "a.example");
    EXPECT_TRUE(found.malformed);
    EXPECT_FALSE(found.truncated);
  }
}

TEST(ClientHelloTest, LengthsThatLieAreMalformed) {
  const ClientHello found = parse_client_hello(hello(Wire().u16(0).u16(500).u8(1)));
  EXPECT_TRUE(found.tls);
  EXPECT_TRUE(found.malformed);
  EXPECT_EQ(found.sni, "");
}

TEST(ClientHelloTest, OtherProtocolsAreNotTls) {
  EXPECT_FALSE(parse_client_hello(Wire().text("GET / HTTP/1.1\r\n")).tls);
  EXPECT_FALSE(parse_client_hello(Wire().text("SSH-2.0-OpenSSH_9.2")).tls);
  EXPECT_FALSE(parse_client_hello(record(Wire().u8(2).u24(4).zeros(4))).tls);  // a ServerHello
  EXPECT_FALSE(parse_client_hello({}).tls);
}

TEST(ClientHelloTest, HugeHelloIsBounded) {
  Wire data;
  data.add(record(std::span(Wire().u8(1).u24(0xFFFFFF).zeros(16000).bytes())));
  for (int i = 0; i < 3; ++i)
    data.add(record(Wire().zeros(16000)));
  EXPECT_TRUE(parse_client_hello(data).truncated || parse_client_hello(data).malformed ||
              parse_client_hello(data).sni.empty());
}

}  // namespace
}  // namespace keytrail::decode
