// SPDX-License-Identifier: Apache-2.0
#include "agent/base/host.h"

#include <gtest/gtest.h>

namespace keytrail::base {
namespace {

using namespace std::string_view_literals;

TEST(HostName, IsLowerCaseWithoutTrailingDot) {
  EXPECT_EQ(host_name("S3.EU-West-1.amazonaws.COM."), "s3.eu-west-1.amazonaws.com");
  EXPECT_EQ(host_name("_sip._tcp.example"), "_sip._tcp.example");
  EXPECT_EQ(host_name("xn--bcher-kva.example"), "xn--bcher-kva.example");
  EXPECT_EQ(host_name("127.0.0.1"), "127.0.0.1");
}

TEST(HostName, DropsWhatCannotBeAName) {
  for (std::string_view text : {""sv, "."sv, ".."sv, "a..b"sv, ".a"sv, "a b"sv, "a\0b"sv, "a\nb"sv, "a/b"sv,
                                "\x1b[31m"sv, "b\xc3\xbc.de"sv, "a:1"sv, "u@h"sv}) {
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

struct Case {
  const char* text;
  const char* host;
  std::uint16_t port = 0;
};

TEST(Host, WithAndWithoutPort) {
  for (const auto& [text, host, port] : {
           Case{"Vault.local:8200", "vault.local", 8200},
           Case{"vault.local", "vault.local"},
           Case{"vault.local:", "vault.local"},
           Case{"vault.local.:443", "vault.local", 443},
           Case{"10.0.0.1:6443", "10.0.0.1", 6443},
           Case{"[::1]:443", "::1", 443},
           Case{"[::1]", "::1"},
           Case{"::1", "::1"},
           Case{"2001:DB8:0:0::0001", "2001:db8::1"},
           Case{"[fe80::1%eth0]:22", "fe80::1", 22},
           Case{"::ffff:10.0.0.1", "10.0.0.1"},
       }) {
    EXPECT_EQ(parse_host(text), (HostPort{host, port})) << text;
  }
}

TEST(Host, NothingOfWhatMakesNoSense) {
  for (const char* text : {"", "a:b", "a:70000", "a:1x", "[::1", "[::1]x", "[hello]", "[10.0.0.1]", "1:2:3",
                           "user:pw@host", ":80", "[]:80", "%eth0"})
    EXPECT_EQ(parse_host(text), HostPort{}) << text;
}

TEST(Host, OfUrlsAndEntries) {
  for (const auto& [text, host, port] : {
           Case{"https://Index.docker.io/v1/", "index.docker.io"},
           Case{"https://user:secret@[2001:db8::1]:6443/path?x#y", "2001:db8::1", 6443},
           Case{"https://[::1]:6443", "::1", 6443},
           Case{"tcp://10.0.0.1:443", "10.0.0.1", 443},
           Case{"jdbc:mysql://db.example:3306/orders;a=b c", "db.example", 3306},
           Case{"registry.example:5000/team", "registry.example", 5000},
           Case{"[::1]:5000/team", "::1", 5000},
           Case{"registry.example", "registry.example"},
           Case{"::1", "::1"},
           Case{"unix:///run/vault.sock", ""},
           Case{"https://host:99999/", ""},
           Case{"https://${HOST}/", ""},
           Case{"a profile", ""},
           Case{"", ""},
       }) {
    EXPECT_EQ(host_of_url(text), (HostPort{host, port})) << text;
  }
}

TEST(Host, SplitKeepsTheTextAsItStands) {
  const HostParts parts = split_host("[::1]:x");
  EXPECT_EQ(parts.host, "::1");
  EXPECT_EQ(parts.port, "x");
  EXPECT_TRUE(parts.whole);
  EXPECT_FALSE(split_host("[::1").whole);
  EXPECT_EQ(split_host("Registry.example:5000").host, "Registry.example");
  EXPECT_EQ(split_host("::1").host, "::1");
}

TEST(Host, AddressesOfEndpoints) {
  SocketAddress four;
  four.address = {198, 51, 100, 7};
  four.port = 443;
  EXPECT_EQ(address_text(four), "198.51.100.7");
  EXPECT_EQ(address_and_port(four), "198.51.100.7:443");
  EXPECT_FALSE(is_loopback(four));
  four.address[0] = 127;
  EXPECT_TRUE(is_loopback(four));
  SocketAddress six;
  six.v6 = true;
  six.address[15] = 1;
  six.port = 80;
  EXPECT_EQ(address_and_port(six), "[::1]:80");
  EXPECT_TRUE(is_loopback(six));
  six.address[0] = 0x20;
  EXPECT_FALSE(is_loopback(six));
  EXPECT_TRUE(is_loopback(*parse_address("0.0.0.0")));  // Linux leads both to this machine
  EXPECT_TRUE(is_loopback(*parse_address("::")));
  EXPECT_FALSE(is_loopback(*parse_address("::2")));
  EXPECT_FALSE(is_loopback(*parse_address("0.0.0.1")));
}

TEST(Host, AddressesAreNoNames) {
  for (const char* text : {"10.0.0.1", "::1", "2001:db8::1"})
    EXPECT_TRUE(is_address(text)) << text;
  for (const char* text : {"", "localhost", "v1", "10.0.0.example", "example.com", "1.2.3.4.5"})
    EXPECT_FALSE(is_address(text)) << text;
}

}  // namespace
}  // namespace keytrail::base
