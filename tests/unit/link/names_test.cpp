// SPDX-License-Identifier: Apache-2.0
// Names of hosts: whether two are of one owner (real pairs of what a process asked for and what it claimed), and who is
// believed.
#include "agent/link/names.h"

#include <gtest/gtest.h>

#include "scene.h"

namespace keytrail::link {
namespace {

struct Pair {
  const char* asked;
  const char* claimed;
};

void expect_all(bool expected, std::initializer_list<Pair> pairs) {
  for (const auto& [asked, claimed] : pairs) {
    EXPECT_EQ(agree(asked, claimed, catalog::Catalog::builtin()), expected) << asked << " and " << claimed;
    EXPECT_EQ(agree(claimed, asked, catalog::Catalog::builtin()), expected) << claimed << " and " << asked;
  }
}

TEST(NamesAgree, OneEndpointOfTheCatalog) {
  expect_all(true, {{"s3-r-w.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com"},
                    {"bucket.s3.amazonaws.com", "s3.amazonaws.com"},
                    {"vpce-1-a.sts.eu-west-1.vpce.amazonaws.com", "sts.eu-west-1.amazonaws.com"},
                    {"kubernetes.default.svc.cluster.local", "kubernetes.default.svc"},
                    {"index.docker.io", "registry-1.docker.io"},
                    {"nobody.test", "nobody.test"}});
}

TEST(NamesAgree, ATenantsNameAndTheProvidersOwn) {
  expect_all(true, {{"bucket.s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com"},
                    {"bucket.s3.eu-west-1.amazonaws.com", "s3-r-w.eu-west-1.amazonaws.com"},
                    {"123456789012.dkr.ecr.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com"},
                    {"good.blob.core.windows.net", "good.privatelink.blob.core.windows.net"},
                    {"dualstack.good-456.eu-west-1.elb.amazonaws.com", "good-456.eu-west-1.elb.amazonaws.com"}});
}

TEST(NamesAgree, NotTwoTenantsOfOneEndpoint) {
  expect_all(
      false,
      {{"evil-123.eu-west-1.elb.amazonaws.com", "good-456.eu-west-1.elb.amazonaws.com"},
       {"evil.elb.eu-west-1.amazonaws.com", "good.elb.eu-west-1.amazonaws.com"},
       {"vpce-0a-0b.vpce-svc-0b1.eu-west-1.vpce.amazonaws.com", "vpce-0c-0d.vpce-svc-0b2.eu-west-1.vpce.amazonaws.com"},
       {"evil.blob.core.windows.net", "good.blob.core.windows.net"},
       {"evil.okta.com", "good.okta.com"},
       {"evil.azurecr.io", "good.azurecr.io"},
       {"some.evil.name.azurecr.io", "good.azurecr.io"},
       {"evil.s3.eu-west-1.amazonaws.com", "good.s3.eu-west-1.amazonaws.com"},
       {"evil.abc.us-east-1.rds.amazonaws.com", "good.def.us-east-1.rds.amazonaws.com"},
       {"evil.compute-1.amazonaws.com", "good.compute-1.amazonaws.com"},
       {"ec2-198-51-100-1.eu-west-1.compute.amazonaws.com", "ec2-198-51-100-2.eu-west-1.compute.amazonaws.com"},
       {"evil.example.amazonaws.com", "amazonaws.com"}});
}

TEST(NamesAgree, OneOwnersDomain) {
  expect_all(true, {{"lb7.corp.test", "vault.corp.test"}, {"edge.example.co.uk", "api.example.co.uk"}});
}

TEST(NamesAgree, AShortNameAndWhatTheResolverMadeOfIt) {
  expect_all(true, {{"vault.team.svc.cluster.local", "vault"},
                    {"vault.dev.svc.cluster.local", "vault.dev"},
                    {"db.corp.example.com", "db"}});
}

TEST(NamesAgree, NotTwoTenantsOfOneProvider) {
  expect_all(false, {{"evil-123.eu-west-1.elb.amazonaws.com", "sts.eu-west-1.amazonaws.com"},
                     {"evil.execute-api.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com"},
                     {"ec2-198-51-100-1.eu-west-1.compute.amazonaws.com", "s3.eu-west-1.amazonaws.com"},
                     {"evil.github.io", "victim.github.io"},
                     {"evil.co.uk", "example.co.uk"}});
}

TEST(NamesAgree, NotTwoEndpointsOfTheCatalog) {
  expect_all(false, {{"s3.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com"},
                     {"sts.us-east-1.amazonaws.com", "sts.eu-west-1.amazonaws.com"},
                     {"storage.googleapis.com", "oauth2.googleapis.com"}});
}

TEST(NamesAgree, NotWithANameThatSomebodyElseCompletes) {
  expect_all(false, {{"sts.amazonaws.com.evil.test", "sts.amazonaws.com"},
                     {"vault.corp.evil.com", "vault.corp"},
                     {"198.51.100.1", "198.51.100.2"},
                     {"", "vault"}});
}

TEST(Names, OldNamesOfOthersAreNotBelieved) {
  Names names(8, 60);
  names.learn(DnsEvent{1, {{"S3.example.", ip(1, 0), 5}}}, 1, nullptr);
  EXPECT_EQ(names.of_namespace(1, ip(1), 2), "s3.example");
  EXPECT_EQ(names.of_namespace(2, ip(1), 2), "");
  EXPECT_EQ(names.of_namespace(1, ip(1), 61'000'000'000U), "");
}

TEST(FakeClock, AnyMomentHasAWallTime) {
  const FakeClock clock;
  EXPECT_EQ(clock.to_wall(clock.now + 7), clock.wall_ns() + 7);
  EXPECT_EQ(clock.to_wall(0), clock.wall_ns() - static_cast<std::int64_t>(clock.now));
  for (const std::uint64_t moment : {std::uint64_t{INT64_MAX}, UINT64_MAX})
    (void)clock.to_wall(moment);  // the sanitizer sees an overflow
}

}  // namespace
}  // namespace keytrail::link
