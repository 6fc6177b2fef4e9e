// SPDX-License-Identifier: Apache-2.0
// What a connection calls, as a table: payload, own names, environment and address → name, its provenance, service,
// contradiction.
#include "agent/link/destinations.h"

#include <gtest/gtest.h>

#include "small_world.h"

namespace keytrail::link {
namespace {

using Protocol = PayloadEvent::Protocol;

struct Row {
  std::string what;
  PayloadEvent payload;
  std::string expected;               ///< "PROVIDER/SERVICE HOST by SOURCE", "!" where names contradict
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
         (where.contradiction ? " !" : "");
}

TEST(Resolve, TheNameAndWhoSaysSo) {
  const std::string aws = "aws/s3 " + kS3;
  PayloadEvent hidden = hello(kS3);
  hidden.ech = true;
  const Row rows[] = {
      {"claimed in the hello", hello(kS3), aws + " by sni"},
      {"claimed in the request", hello(kS3, Protocol::kHttp), aws + " by request"},
      {"asked of a proxy", hello(kS3, Protocol::kHttpConnect), aws + " by connect"},
      {"the outer name of an encrypted hello", hidden, aws + " by sni !"},
      {"own DNS agrees", hello(kS3), aws + " by sni", {kS3}},
      {"own DNS says another", hello(kS3), aws + " by sni !", {"elsewhere.test"}},
      {"no name in the hello", hello(""), aws + " by dns", {kS3}},
      {"no name, and the address is shared", hello(""), aws + " by dns !", {"sts.amazonaws.com", kS3}},
      {"a garbled name at a known address", hello("a.b.c.test"), aws + " by dns !", {kS3}},
      {"nobody knows it", hello("nobody.test"), "/ nobody.test by sni"},
      {"nothing at all", hello(""), "/  by address"},
      {"ssh by its port", hello(""), "ssh/host.example host.example by dns", {"host.example"}, {}, ip(1, 22)},
  };
  for (const Row& row : rows)
    EXPECT_EQ(told(row), row.expected) << row.what;
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
