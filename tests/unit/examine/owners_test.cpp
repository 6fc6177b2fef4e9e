// SPDX-License-Identifier: Apache-2.0
// Whose a key of a flat file is, and for which host: what begins as it does says so, nothing else.
#include <gmock/gmock.h>

#include "fixture.h"

namespace keytrail::examine {
namespace {

using ::testing::ElementsAre;
using Lines = std::vector<std::string>;

/// "[selector] principal@host" of each key.
Lines owners(const Found& found) {
  Lines out;
  for (const KeyFact& fact : found.keys)
    out.push_back("[" + fact.selector + "] " + fact.key.principal + "@" + fact.host);
  return out;
}

TEST(Owners, OfProperties) {
  Bench bench;
  EXPECT_THAT(
      owners(bench.parse("configuration",
                         "nexusUsername=bob\nnexusPassword=pw-12345\nsystemProp.https.proxyPassword=pw-proxy1\n"
                         "central.user = eve\ncentral.url=https://c.example/\ncentral.token = abcdefghijklmnopqrst\n",
                         "gradle.secret")),
      ElementsAre("[nexusPassword] bob@", "[systemProp.https.proxyPassword] @", "[central.token] eve@c.example"));
}

TEST(Owners, OfClientsOfOneObject) {
  Bench bench;
  EXPECT_THAT(
      owners(bench.parse("configuration", R"({"GH_CLIENT_ID": "cid-c", "GH_CLIENT_SECRET": "sec-abcdefghijklmnop-c",
      "OK_CLIENT_ID": "cid-d", "OK_CLIENT_SECRET": "sec-abcdefghijklmnop-d",
      "app": {"aClientId": "cid-a", "aClientSecret": "sec-abcdefghijklmnop-a",
              "bClientId": "cid-b", "bClientSecret": "sec-abcdefghijklmnop-b"}})")),
      ElementsAre("[GH_CLIENT_SECRET] cid-c@", "[OK_CLIENT_SECRET] cid-d@", "[app] cid-a@", "[app] cid-b@"));
}

TEST(Owners, OfVariables) {
  Bench bench;
  EXPECT_THAT(owners(bench.parse(
                  "dotenv",
                  "GOOGLE_CLIENT_ID=cid.apps.example\nGOOGLE_CLIENT_SECRET=GOCSPX-abcdefghijklmnopqrstuvwxyz12\n"
                  "DB_USER=bob\nDB_HOST=db.example\nDB_PASSWORD=pw-12345\nFOO_TOKEN=abcdefghijklmnopqrstuvwx\n")),
              ElementsAre("[GOOGLE_CLIENT_SECRET] cid.apps.example@", "[DB_PASSWORD] @", "[FOO_TOKEN] @"))
      << "a variable's password is known by the variable";
}

TEST(Owners, SeveralIndexesInOneLineAreSeveralKeys) {
  Bench bench;
  EXPECT_THAT(owners(bench.parse("configuration",
                                 "[global]\nextra-index-url = https://c:tok12345678901234567@a.example/s "
                                 "https://d:tok99945678901234567@b.example/s\n",
                                 "package.password", true, KeyClass::kPassword)),
              ElementsAre("[a.example] c@a.example", "[b.example] d@b.example"));
}

TEST(Owners, OfNugetsSourcesAndYarnsRegistries) {
  Bench bench;
  EXPECT_THAT(
      owners(bench.parse("configuration",
                         "<configuration><packageSourceCredentials><corp><add key=\"Username\" value=\"bob\"/>"
                         "<add key=\"ClearTextPassword\" value=\"plain-pw-9\"/></corp></packageSourceCredentials>"
                         "</configuration>",
                         "package.password", true, KeyClass::kPassword)),
      ElementsAre("[corp] bob@"));
  EXPECT_THAT(
      owners(bench.parse("configuration", "npmRegistries:\n  //b.example:\n    npmAuthIdent: \"user:pass-1234\"\n",
                         "package.password", true, KeyClass::kPassword)),
      ElementsAre("[//b.example] user@b.example"));
}

TEST(Owners, WhatMavenEncryptedIsNoKey) {
  Bench bench;
  EXPECT_THAT(owners(bench.parse("configuration",
                                 "<settings><servers><server><id>a</id><username>u</username>"
                                 "<password>{COQLCE6DU6GtcS5P=}</password></server></servers></settings>")),
              ElementsAre());
}

TEST(Owners, AHelpersRegistryHasAKeyElsewhere) {
  Bench bench;
  EXPECT_THAT(
      owners(bench.parse("docker_config",
                         R"({"auths": {"q.example": {}}, "credHelpers": {"gcr.io": "gcloud"}, "credsStore": "x"})")),
      ElementsAre("[q.example] @q.example", "[gcr.io] @gcr.io"));
}

}  // namespace
}  // namespace keytrail::examine
