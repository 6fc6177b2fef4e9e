// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/http_head.h"

#include <gtest/gtest.h>

#include "tests/unit/decode/wire.h"

namespace keytrail::decode {
namespace {

HttpHead parse(std::string_view text) { return parse_http_head(test::Wire().text(text)); }

TEST(HttpHeadTest, ReadsMethodPathAndHost) {
  const HttpHead head = parse("GET /latest/meta-data/iam/ HTTP/1.1\n169.254.169.254");
  EXPECT_TRUE(head.http);
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.path, "/latest/meta-data/iam/");
  EXPECT_EQ(head.host, "169.254.169.254");
  EXPECT_EQ(head.port, 0);
  EXPECT_FALSE(head.truncated);
}

TEST(HttpHeadTest, ReadsAPortBesideTheHost) {
  const HttpHead head = parse("PUT /v1/secret\nVault.Example:8200\r");
  EXPECT_EQ(head.host, "vault.example");
  EXPECT_EQ(head.port, 8200);
}

TEST(HttpHeadTest, ConnectNamesWhereTheTunnelGoes) {
  const HttpHead head = parse("CONNECT s3.amazonaws.com:443 HTTP/1.1\nproxy.local:3128");
  EXPECT_TRUE(head.connect);
  EXPECT_EQ(head.host, "s3.amazonaws.com");
  EXPECT_EQ(head.port, 443);
  EXPECT_EQ(head.path, "");
}

TEST(HttpHeadTest, AbsoluteFormBeatsTheHostHeader) {
  const HttpHead head = parse("GET http://User:Secret@api.Example:8080/a/b HTTP/1.1\nother.example");
  EXPECT_EQ(head.host, "api.example");
  EXPECT_EQ(head.port, 8080);
  EXPECT_EQ(head.path, "/a/b");
}

TEST(HttpHeadTest, QueryIsRemovedEvenIfItCame) { EXPECT_EQ(parse("GET /a?token=secret#x HTTP/1.1\nh").path, "/a"); }

TEST(HttpHeadTest, WithoutAHostLineTheNameIsUnknown) {
  EXPECT_TRUE(parse("GET / HTTP/1.1").truncated);
  EXPECT_FALSE(parse("GET / HTTP/1.0\n").truncated);  // no Host header: nothing was cut
  EXPECT_EQ(parse("GET / HTTP/1.0\n").host, "");
}

TEST(HttpHeadTest, HostThatCannotBeOneIsDropped) {
  for (const char* text :
       {"GET / HTTP/1.1\na b", "GET / HTTP/1.1\n<script>", "CONNECT :443 HTTP/1.1\n", "CONNECT a:b HTTP/1.1\n"}) {
    const HttpHead head = parse(text);
    EXPECT_TRUE(head.http);
    EXPECT_EQ(head.host, "");
    EXPECT_TRUE(head.truncated) << text;
  }
}

TEST(HttpHeadTest, OtherTextIsNotHttp) {
  for (const char* text :
       {"", "\n", "GET", "GET ", "get / HTTP/1.1\nh", "SSH-2.0-x y", "\x16\x03\x01 x", "AVERYLONGMETHODNAME / x\n"})
    EXPECT_FALSE(parse(text).http) << text;
}

TEST(HttpHeadTest, CutOrDamagedItIsSurvived) {
  const test::Wire whole = test::Wire().text("POST http://u:p@[::1]:99/x/y?z HTTP/1.1\n[fe80::1]:80");
  test::for_each_prefix(whole, [](std::span<const std::byte> part) {
    EXPECT_EQ(parse_http_head(part).path.find('p'), std::string::npos);
  });
  test::for_each_damage(whole, [](std::span<const std::byte> data) { (void)parse_http_head(data); });
}

}  // namespace
}  // namespace keytrail::decode
