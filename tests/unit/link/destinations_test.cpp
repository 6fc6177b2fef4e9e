// SPDX-License-Identifier: Apache-2.0
// What a connection calls, as a table: payload, own names, environment and address → name, its provenance, service, and
// what speaks against the name.
#include "agent/link/destinations.h"

#include <gtest/gtest.h>

#include "small_world.h"

namespace keytrail::link {
namespace {

using Protocol = PayloadEvent::Protocol;

struct Row {
  std::string what;
  PayloadEvent payload;
  /// "PROVIDER/SERVICE HOST by SOURCE", "!" where names contradict, "claimed" where nothing bears the name out, "local"
  /// for a known name at a local address.
  std::string expected;
  std::vector<std::string> own = {};  ///< names that the process asked for, of the address that it calls
  std::vector<EnvItem> env = {};
  SocketAddress remote = ip(1);
};

std::string told(const Row& row) {
  Instance caller = instance_of({.env = row.env});
  for (const std::string& name : row.own) {
    SocketAddress address = row.remote;
    address.port = 0;
    (void)caller.doubts.note_name(address, name);
  }
  const Resolved where = resolved(caller, row.payload, row.remote);
  const Destination& to = where.destination;
  return to.provider + "/" + to.service + " " + to.host + " by " + to_string(to.name_source) +
         (where.contradiction ? " !" : "") + (to.claimed ? " claimed" : "") + (where.local_name ? " local" : "");
}

TEST(Resolve, TheNameAndWhoSaysSo) {
  const std::string aws = "aws/s3 " + kS3;
  PayloadEvent hidden = hello(kS3);
  hidden.ech = true;
  const Row rows[] = {
      {"claimed in the hello", hello(kS3), aws + " by sni claimed"},
      {"claimed in the request", hello(kS3, Protocol::kHttp), aws + " by request claimed"},
      {"asked of a proxy", hello(kS3, Protocol::kHttpConnect), aws + " by connect claimed"},
      {"the outer name of an encrypted hello", hidden, aws + " by sni ! claimed"},
      {"own DNS agrees", hello(kS3), aws + " by sni", {kS3}},
      {"own DNS agrees, and has another name there", hello(kS3), aws + " by sni", {kS3, "elsewhere.test"}},
      {"own DNS says another", hello(kS3), aws + " by sni ! claimed", {"elsewhere.test"}},
      {"a name of elsewhere on this machine", hello(kS3), aws + " by sni claimed local", {}, {}, loopback(443)},
      {"the same, as DNS said", hello(kS3), aws + " by sni local", {kS3}, {}, loopback(443)},
      {"the same, asked of a proxy",
       hello(kS3, Protocol::kHttpConnect),
       aws + " by connect claimed",
       {},
       {},
       loopback(3128)},
      {"no name in the hello", hello(""), aws + " by dns", {kS3}},
      {"no name, and the address is shared", hello(""), aws + " by dns !", {"sts.amazonaws.com", kS3}},
      {"a garbled name at a known address", hello("a.b.c.test"), aws + " by dns !", {kS3}},
      {"nobody knows it", hello("nobody.test"), "/ nobody.test by sni claimed"},
      {"a metadata service's name", hello("metadata.google.internal", Protocol::kHttp),
       "/ metadata.google.internal by request claimed"},
      {"the same, as DNS said",
       hello("metadata.google.internal", Protocol::kHttp),
       "gcp/metadata metadata.google.internal by request",
       {"metadata.google.internal"}},
      {"the address as a name", hello("198.51.100.1", Protocol::kHttp), "/ 198.51.100.1 by request"},
      {"nothing at all", hello(""), "/  by address"},
      {"ssh by its port", hello(""), "ssh/host.example host.example by dns", {"host.example"}, {}, ip(1, 22)},
  };
  for (const Row& row : rows)
    EXPECT_EQ(told(row), row.expected) << row.what;
}

TEST(Resolve, WhatOthersAskedForBearsAClaimedNameOut) {
  Names names(8, 60);
  SocketAddress address = ip(1);
  address.port = 0;
  const auto is_claimed = [&](const std::string& name) {
    const PayloadEvent payload = hello(name);
    return resolve({ip(1), 1, false, kUsed, &payload}, instance_of({}), names, catalog::Catalog::builtin())
        .destination.claimed;
  };
  EXPECT_TRUE(is_claimed(kS3));
  (void)names.learn(DnsEvent{1, {{"s3-r-w.eu-west-1.amazonaws.com", address, 60}}}, kConnected, nullptr);
  EXPECT_FALSE(is_claimed(kS3)) << "one service of one provider";
  EXPECT_TRUE(is_claimed("sts.eu-west-1.amazonaws.com"));
}

TEST(Resolve, AVariableBindsAnAddress) {
  const std::vector<EnvItem> env{shown("KUBERNETES_SERVICE_HOST", "198.51.100.5"),
                                 shown("KUBERNETES_SERVICE_PORT", "443")};
  EXPECT_EQ(told({"", hello(""), "", {}, env, ip(5)}), "kubernetes/api 198.51.100.5 by environment");
  EXPECT_EQ(told({"", hello(""), "", {}, env, ip(6)}), "/  by address");
}

TEST(Resolve, OnlyReadableRequestsHaveAPath) {
  const Instance caller = instance_of({});
  PayloadEvent request = hello(kS3, Protocol::kHttp);
  request.path = "/bucket";
  EXPECT_EQ(resolved(caller, request).path, "/bucket");
  request.protocol = Protocol::kTls;
  EXPECT_EQ(resolved(caller, request).path, "");
}

}  // namespace
}  // namespace keytrail::link
