// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/host_name.h"

#include <gtest/gtest.h>

namespace keytrail::decode {
namespace {

TEST(HostNameTest, IsLowerCaseWithoutTrailingDot) {
  EXPECT_EQ(host_name("S3.EU-West-1.amazonaws.COM."), "s3.eu-west-1.amazonaws.com");
  EXPECT_EQ(host_name("_sip._tcp.example"), "_sip._tcp.example");
  EXPECT_EQ(host_name("127.0.0.1"), "127.0.0.1");
}

TEST(HostNameTest, DropsWhatCannotBeAName) {
  using namespace std::string_view_literals;
  for (std::string_view text :
       {""sv, "."sv, ".."sv, "a..b"sv, ".a"sv, "a b"sv, "a\0b"sv, "a\nb"sv, "a/b"sv, "\x1b[31m"sv, "b\xc3\xbc.de"sv, "a:1"sv, "u@h"sv}) {
    EXPECT_EQ(host_name(text), "") << text;
  }
  EXPECT_EQ(host_name(std::string(64, 'a')), "");
  EXPECT_EQ(host_name(std::string(63, 'a')), std::string(63, 'a'));
  std::string longest;
  for (int i = 0; i < 127; ++i)
    longest += "a.";
  EXPECT_EQ(host_name(longest).size(), 253U);
  EXPECT_EQ(host_name(longest + "a"), "");
}

TEST(HostPortTest, SplitsNameAndPort) {
  EXPECT_EQ(host_port("Vault.local:8200").host, "vault.local");
  EXPECT_EQ(host_port("vault.local:8200").port, 8200);
  EXPECT_EQ(host_port("vault.local").port, 0);
  EXPECT_EQ(host_port("vault.local:").host, "vault.local");
  EXPECT_EQ(host_port("[::1]:443").host, "::1");
  EXPECT_EQ(host_port("[::1]:443").port, 443);
  EXPECT_FALSE(host_port("").bad);
}

TEST(HostPortTest, SaysWhenItMakesNoSense) {
  for (const char* text : {"a:b", "a:70000", "a:1x", "[::1", "[::1]x", "[hello]", "::1", "user:pw@host", ":80"}) {
    EXPECT_TRUE(host_port(text).bad) << text;
    EXPECT_EQ(host_port(text).host, "") << text;
  }
}

}  // namespace
}  // namespace keytrail::decode
