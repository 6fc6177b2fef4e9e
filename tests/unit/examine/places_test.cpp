// SPDX-License-Identifier: Apache-2.0
// What files say of other places where their keys are: files, and variables of the environment.
#include <gmock/gmock.h>

#include "agent/examine/reference.h"
#include "fixture.h"

namespace keytrail::examine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Lines = std::vector<std::string>;

/// "[selector] host option path" or "[selector] host $VARIABLE" of each entry without a key.
Lines places(const Found& found) {
  Lines out;
  for (const KeyFact& fact : found.keys) {
    if (!fact.key.id.empty() || fact.variable.empty()) continue;
    out.push_back("[" + fact.selector + "] " + fact.host + (fact.current ? " current " : " ") +
                  (fact.path.empty() ? "$" + fact.variable : fact.variable + " " + fact.path));
  }
  return out;
}

TEST(Places, OfAwsProfiles) {
  Bench bench;
  EXPECT_THAT(places(bench.parse("aws_credentials",
                                 "[profile wi]\nrole_arn = arn:aws:iam::123456789012:role/r\n"
                                 "web_identity_token_file = /root/tok\nregion = eu-west-1\n")),
              ElementsAre("[wi]  web_identity_token_file /root/tok"));
  EXPECT_THAT(places(bench.parse("aws_credentials", "[default]\ncredential_process = /usr/bin/cat /root/x\n")),
              IsEmpty())
      << "a program, no file";
}

TEST(Places, AddressesInAwsConfiguration) {
  Bench bench;
  EXPECT_THAT(places(bench.parse("aws_config",
                                 "[profile a]\nregion = x\nendpoint_url = https://minio.example:9000/path\n"
                                 "[services local]\ns3 =\n  endpoint_url = http://user:pw@localhost:4566\n"
                                 "dynamodb =\n  max_attempts = 3\n[profile b]\nendpoint_url = nonsense\n")),
              ElementsAre("[]  AWS_ENDPOINT_URL minio.example:9000", "[]  AWS_ENDPOINT_URL localhost:4566"));
}

TEST(Places, OfGooglesExternalAccounts) {
  Bench bench;
  EXPECT_THAT(places(bench.parse("google_credentials", R"({"type": "external_account", "credential_source":
                                  {"file": "/var/run/tok", "format": {"type": "text"}}})")),
              ElementsAre("[]  file /var/run/tok"));
  EXPECT_THAT(places(bench.parse("google_credentials", R"({"type": "external_account", "credential_source":
                                  {"executable": {"command": "/bin/x", "output_file": "/tmp/out.json"}}})")),
              ElementsAre("[]  output_file /tmp/out.json"));
  EXPECT_THAT(places(bench.parse("google_credentials", R"({"type": "external_account", "credential_source": 7})")),
              IsEmpty());
}

TEST(Places, OfKubeconfigs) {
  Bench bench;
  const std::string head =
      "current-context: c\nclusters: [{name: k, cluster: {server: 'https://k.test:6443'}}]\n"
      "contexts: [{name: c, context: {cluster: k, user: u}}]\nusers: [{name: u, user: ";
  EXPECT_THAT(places(bench.parse("kubeconfig", head + "{tokenFile: ../tok, token: abc}}]\n")),
              ElementsAre("[c] k.test:6443 current tokenFile ../tok"));
  EXPECT_THAT(places(bench.parse("kubeconfig", head + "{client-certificate: c.crt, client-key: c.key}}]\n")),
              ElementsAre("[c] k.test:6443 current client-key c.key"));
}

TEST(Places, OfGitsConfiguration) {
  Bench bench;
  EXPECT_THAT(places(bench.parse("gitconfig",
                                 "[include]\n\tpath = ~/work.inc\n[includeIf \"gitdir:~/a/\"]\n\tpath = b.inc\n"
                                 "[credential \"https://git.example\"]\n\thelper = store --file ~/vault/keys\n"
                                 "[http \"https://git.example/\"]\n\tsslKey = /etc/k.pem\n"
                                 "[credential]\n\thelper = cache --timeout 60\n[alias]\n\tpath = log\n")),
              ElementsAre("[]  path ~/work.inc", "[]  path b.inc", "[git.example] git.example store ~/vault/keys",
                          "[git.example] git.example sslKey /etc/k.pem"));
}

TEST(Places, OfSettingsThatNameAFile) {
  Bench bench;
  EXPECT_THAT(places(bench.parse("configuration",
                                 "[DEFAULT]\nuser=ocid1\nkey_file=~/.oci/k.pem\nlog_file=/var/log/x\n"
                                 "[other]\nsecurity_token_file = /root/tok\n")),
              ElementsAre("[DEFAULT]  key_file ~/.oci/k.pem", "[other]  security_token_file /root/tok"));
  EXPECT_THAT(places(bench.parse("npmrc", "//r.example/:keyfile=/root/k.pem\n")),
              ElementsAre("[r.example] r.example keyfile /root/k.pem"));
}

TEST(Places, OfSshsConfiguration) {
  Bench bench;
  EXPECT_THAT(places(bench.parse("ssh_config",
                                 "Include work.conf\nHost gh github.com\n  IdentityFile ~/.ssh/any\n"
                                 "host bastion\n  HostName = b.example\n  IdentityFile \"~/keys/b\"\n"
                                 "Match all\n  IdentityFile /k\n")),
              ElementsAre("[]  Include work.conf", "[]  IdentityFile ~/.ssh/any",
                          "[bastion] b.example IdentityFile ~/keys/b", "[]  IdentityFile /k"));
}

TEST(Places, OfCurlsConfiguration) {
  Bench bench;
  const Found found =
      bench.parse("curlrc",
                  "# netrc-file = x\nnetrc-file = \"/srv/net rc\"\n--key /k.pem\n-K next\nsilent\n"
                  "user = \"bob:s3cr-1234\"\nheader = \"Authorization: Bearer abcdefghijklmnopqrstuv\"\n",
                  "http.basic_password", true, KeyClass::kPassword);
  EXPECT_THAT(places(found), ElementsAre("[]  netrc-file /srv/net rc", "[]  key /k.pem", "[]  config next"));
  ASSERT_EQ(found.keys.size(), 5U);
  EXPECT_TRUE(found.keys[3].key.id.starts_with("http.basic_password:bob #")) << found.keys[3].key.id;
}

TEST(Places, OfVariablesThatPackageManagersExpand) {
  Bench bench;
  EXPECT_THAT(
      places(bench.parse("npmrc", "//r.example/:_authToken=${CI_DEPLOY_K}\n//q.example/:_password=\"${PW?}\"\n")),
      ElementsAre("[q.example] q.example $PW", "[r.example] r.example $CI_DEPLOY_K"));
  EXPECT_THAT(
      places(bench.parse("configuration", "npmRegistries:\n  \"//r.example\":\n    npmAuthToken: ${Y_T:-none}\n")),
      ElementsAre("[//r.example] r.example $Y_T"));
  EXPECT_THAT(places(bench.parse("configuration",
                                 "<settings><servers><server><id>nexus</id><username>bob</username>"
                                 "<password>${env.NEXUS_PW}</password></server></servers></settings>")),
              ElementsAre("[nexus]  $NEXUS_PW"));
  EXPECT_THAT(
      places(bench.parse("configuration",
                         "<configuration><packageSourceCredentials><corp><add key=\"Username\" value=\"bob\"/>"
                         "<add key=\"ClearTextPassword\" value=\"%NUGET_PW%\"/></corp></packageSourceCredentials>"
                         "</configuration>")),
      ElementsAre("[corp]  $NUGET_PW"));
  EXPECT_THAT(
      places(bench.parse("configuration", "[global]\nindex-url = https://bob:${PIP_PW}@nexus.example/simple\n")),
      ElementsAre("[global] nexus.example $PIP_PW"));
  EXPECT_THAT(places(bench.parse("aws_credentials",
                                 "[a]\naws_access_key_id = AKIA7VXWFRBUIULOTUPL\naws_secret_access_key = ${SECRET}\n")),
              IsEmpty())
      << "SDKs send what is written";
}

TEST(Places, AKeyInAPathsPlaceStaysHere) {
  Bench bench;
  const std::string token = "zOM1SOmKtYL2ueOgvNZrZlyqRBJJzQk2Z88GcYj9";
  const std::string head = "contexts: [{name: c, context: {cluster: k, user: u}}]\nusers: [{name: u, user: ";
  for (const std::string& path : {token, "/root/" + token, "ghp_" + std::string(36, 'a'), std::string("a\tb")})
    EXPECT_THAT(places(bench.parse("kubeconfig", head + "{tokenFile: \"" + path + "\"}}]\n")), IsEmpty()) << path;
}

TEST(Reference, TheVariableOfAValue) {
  const std::pair<const char*, const char*> kCases[] = {
      {"${A_B}", "A_B"}, {"${A:-x}", "A"}, {"${A?}", "A"}, {"${env.A}", "A"}, {"${env:A}", "A"}, {"env:A", "A"},
      {"%A_B%", "A_B"},  {"$A", ""},       {"${}", ""},    {"${a b}", ""},    {"${A}${B}", ""},  {"%a%", ""},
      {"${A", ""},       {"%%", ""},       {"${1A}", ""},  {"x${A}", ""},     {"", ""}};
  for (const auto& [value, name] : kCases)
    EXPECT_EQ(variable_of(value), name) << value;
}

TEST(NamedVariable, IsAKeyWhateverItsName) {
  Bench bench;
  Found found;
  const std::string bytes = std::string("A=b") + '\0' + "CI_DEPLOY_K=corp-0123456789abcdefXYZ" + '\0';
  parse_environment(bytes, bench.state, bench.scratch, found, {"CI_DEPLOY_K", "npm.token"});
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].variable, "CI_DEPLOY_K");
  EXPECT_EQ(found.keys[0].key.kind, "npm.token");
  EXPECT_TRUE(found.keys[0].untold);
  EXPECT_FALSE(found.keys[0].key.id.empty());
  EXPECT_THAT(found.env, IsEmpty()) << "its name is none of the catalog's";
}

TEST(NamedVariable, APasswordsFingerprintStays) {
  Bench bench;
  Found found;
  const std::string bytes = "NEXUS_PW=correct-horse-battery-staple-9";
  parse_environment(
      bytes, bench.state, bench.scratch, found,
      {.name = "NEXUS_PW", .kind = "http.basic_password", .key_class = KeyClass::kPassword, .guessable = true});
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_TRUE(found.keys[0].key.fingerprint.empty());
  EXPECT_THAT(found.keys[0].key.id, testing::StartsWith("http.basic_password #"));
}

TEST(Places, AKeyUnderTheNameOfAFileStaysHere) {
  Bench bench;
  for (const char* line : {"client_key = 0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
                           "credentials = admin:hunter2-and-more", "ssl_key = dGhpcy1pcy1hLXNlY3JldC1rZXk_x"})
    EXPECT_THAT(places(bench.parse("configuration", line)), IsEmpty()) << line;
  EXPECT_THAT(places(bench.parse("configuration", "client_key = /etc/app/client.key\ntls_key = tls/server.pem\n")),
              ElementsAre("[]  client_key /etc/app/client.key", "[]  tls_key tls/server.pem"));
}

}  // namespace
}  // namespace keytrail::examine
