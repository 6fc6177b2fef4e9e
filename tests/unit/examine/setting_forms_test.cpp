// SPDX-License-Identifier: Apache-2.0
// The forms in which people write keys into files: lines of shells, lists in one value, names that are hosts, tokens
// where a login stands, documents behind documents.
#include <gmock/gmock.h>

#include "fixture.h"
#include "samples.h"

namespace keytrail::examine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Lines = std::vector<std::string>;

const std::string kGithub = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
const std::string kText = "Q27zo0FlKHu9LlLd72DaALJ7aHbrbI4v3yWdq4N8";

/// "kind login@host [selector]" of each key.
Lines keys(const Found& found) {
  Lines out;
  for (const KeyFact& fact : found.keys) {
    if (!fact.key.id.empty())
      out.push_back(fact.key.kind + " " + fact.key.principal + "@" + fact.host + " [" + fact.selector + "]");
  }
  return out;
}

TEST(TokenAsLogin, IsTheKeyWhateverStandsBehindIt) {
  Bench bench;
  const std::string host = "machine github.com login " + kGithub;
  const auto password = [&](std::string_view format, const std::string& text) {
    return bench.parse(format, text, "http.basic_password", true, KeyClass::kPassword);
  };
  for (const std::string& text : {host + " password x-oauth-basic\n", host + "\n", host + " password x\n"})
    EXPECT_THAT(keys(password("netrc", text)), ElementsAre("github.token @github.com [github.com]")) << text;
  EXPECT_THAT(keys(password("git_credentials", "https://" + kGithub + ":x-oauth-basic@github.com\n")),
              ElementsAre("github.token @github.com [github.com]"));
  EXPECT_THAT(keys(password("docker_config",
                            R"({"auths": {"ghcr.io": {"auth": ")" + base64(kGithub + ":x-oauth-basic") + R"("}}})")),
              ElementsAre("github.token @ghcr.io [ghcr.io]"));
  EXPECT_THAT(keys(password("npmrc", "//npm.pkg.github.com/:_auth=" + base64(kGithub + ":x-oauth-basic") + "\n")),
              ElementsAre("github.token @npm.pkg.github.com [npm.pkg.github.com]"));
  EXPECT_THAT(keys(password("netrc", "machine a.example login bob password " + kGithub + "\n")),
              ElementsAre("github.token bob@a.example [a.example]"));
}

TEST(Netrc, KeywordsAreReadInAnyCase) {
  Bench bench;
  EXPECT_THAT(keys(bench.parse("netrc", "MACHINE a.example LOGIN bob PASSWORD secret-12\n")),
              ElementsAre("generic.password bob@a.example [a.example]"));
}

TEST(ShellLines, AreReadAsAShellReadsThem) {
  Bench bench;
  const std::string both[] = {"export GITHUB_TOKEN=" + kGithub + " API_TOKEN=" + kText + "\n",
                              "declare -x GITHUB_TOKEN=\"" + kGithub + "\"\ntypeset -x API_TOKEN=" + kText + "\n",
                              "set -gx GITHUB_TOKEN " + kGithub + "\nset -x API_TOKEN '" + kText + "'\n",
                              "setenv GITHUB_TOKEN " + kGithub + "\nsetenv API_TOKEN " + kText + "\n",
                              "GITHUB_TOKEN=" + kGithub + "; export GITHUB_TOKEN\nAPI_TOKEN=" + kText + ";\n",
                              "export GITHUB_TOKEN=\"" + kGithub + "\" && export API_TOKEN=" + kText + "\n",
                              "\"GITHUB_TOKEN=" + kGithub + "\"\n'API_TOKEN=" + kText + "'\n"};
  for (const std::string& text : both) {
    const Found found = bench.parse("dotenv", text, "dotenv.secret");
    EXPECT_THAT(keys(found), ElementsAre("github.token @ [GITHUB_TOKEN]", "dotenv.secret @ [API_TOKEN]")) << text;
    ASSERT_EQ(found.keys.size(), 2U);
    EXPECT_EQ(found.keys[1].key.fingerprint, bench.print(kText)) << text;
  }
  EXPECT_THAT(keys(bench.parse("dotenv", "export GITHUB_TOKEN API_TOKEN\nA=b\n")), IsEmpty()) << "only names";
  const Found spaced = bench.parse("dotenv", "API_TOKEN=correct horse; battery staple\n", "dotenv.secret");
  EXPECT_EQ(spaced.unread, role::Unread::kNone);
}

TEST(ListsInOneValue, OfVariablesAreVariables) {
  Bench bench;
  const std::string lines[] = {
      "[program:app]\nenvironment=GITHUB_TOKEN=\"" + kGithub + "\",API_TOKEN='" + kText + "',PATH=\"/x\"\n",
      "[program:app]\nenvironment=\n    GITHUB_TOKEN=\"" + kGithub + "\",\n    API_TOKEN=\"" + kText + "\"\n",
      "[Service]\nEnvironment=GITHUB_TOKEN=" + kGithub + " API_TOKEN=" + kText + "\n",
      "[Service]\nEnvironment=\"GITHUB_TOKEN=" + kGithub + "\" \"API_TOKEN=" + kText + "\"\n",
      "services:\n  web:\n    environment:\n    - GITHUB_TOKEN=" + kGithub + "\n    - \"API_TOKEN=" + kText + "\"\n"};
  for (const std::string& text : lines) {
    const Found found = bench.parse("configuration", text);
    ASSERT_EQ(found.keys.size(), 2U) << text;
    EXPECT_EQ(found.keys[0].key.kind, "github.token") << text;
    EXPECT_EQ(found.keys[1].key.fingerprint, bench.print(kText)) << text;
  }
}

TEST(ListsInOneValue, OfAJavaLoginModuleAreOneLogin) {
  Bench bench;
  const std::string module = "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required ";
  for (const std::string& text : {module + "username=\"bob\" password=\"pw-123456\";\n",
                                  module + "\\\n  username=\"bob\" \\\r\n  password=\"pw-123456\";\n"})
    EXPECT_THAT(keys(bench.parse("configuration", "sasl.mechanism=PLAIN\n" + text)),
                ElementsAre("generic.password bob@ []"))
        << text;
}

TEST(NamesOfHosts, HoldTheKeysOfTheirHosts) {
  Bench bench;
  EXPECT_THAT(keys(bench.parse("configuration", R"({"gitlab-token": {"gitlab.example": ")" + kText +
                                                    R"("}, "other": {"a.example": "on"},
                                   "bearer": {"b.example": ")" +
                                                    kText + R"("}})")),
              ElementsAre("generic.secret @gitlab.example [gitlab.example]", "generic.secret @b.example [b.example]"));
  EXPECT_THAT(keys(bench.parse("configuration", "---\nhttps://gems.example: " + kText + "\n:x: Bearer " + kGithub)),
              ElementsAre("generic.secret @gems.example [https://gems.example]", "github.token @ []"));
  EXPECT_THAT(keys(bench.parse("configuration",
                               "---\nBUNDLE_GEMS___X__EXAMPLE__COM: \"bob:pw-123456\"\n"
                               "BUNDLE_PATH: vendor\n")),
              ElementsAre("generic.password bob@gems-x.example.com [BUNDLE_GEMS___X__EXAMPLE__COM]"));
  EXPECT_THAT(keys(bench.parse("configuration", "credentials \"tfe.example\" { token = \"" + kText + "\" }\n")),
              ElementsAre("generic.secret @tfe.example [tfe.example]"));
}

TEST(Documents, BehindTheFirstAreReadToo) {
  Bench bench;
  EXPECT_THAT(keys(bench.parse("configuration", "a:\n  password: pw-123456\n---\nb:\n  token: " + kText + "\n")),
              ElementsAre("generic.password @ [a]", "generic.secret @ [b]"));
}

TEST(Documents, ASecretOfKubernetesIsDecoded) {
  Bench bench;
  const std::string docker = R"({"auths": {"r.example": {"username": "bob", "password": "pw-123456"}}})";
  EXPECT_THAT(
      keys(bench.parse("configuration", "apiVersion: v1\nkind: Secret\ndata:\n  GITHUB_TOKEN: " + base64(kGithub) +
                                            "\n  .dockerconfigjson: " + base64(docker) +
                                            "\nstringData:\n  API_TOKEN: " + kText + "\n")),
      ElementsAre("generic.password bob@r.example [r.example]", "github.token @ []", "generic.secret @ [stringData]"));
}

TEST(Kubeconfig, ThatNoParserReadsIsUnread) {
  Bench bench;
  const Found found = bench.parse(
      "kubeconfig", "apiVersion: v1\nkind: Config\nusers:\n\t- name: x\n\t  user:\n\t\ttoken: " + kText + "\n",
      "k8s.static_token");
  EXPECT_EQ(found.unread, role::Unread::kUnknownFormat);
  EXPECT_THAT(found.keys, IsEmpty());
}

TEST(DockerConfig, TokensAreWhatTheirFieldsSay) {
  Bench bench;
  EXPECT_THAT(
      keys(bench.parse("docker_config",
                       R"({"auths": {"r.example": {"registrytoken": ")" + kText +
                           R"("}, "s.example": {"auth": "Og==", "identitytoken": ")" + kText + R"("}}})",
                       "docker.hub_token")),
      ElementsAre("registry.bearer_token @r.example [r.example]", "oauth.refresh_token @s.example [s.example]"));
}

TEST(Fields, ARefreshTokenIsNeverOfThePlacesUsualKind) {
  Bench bench;
  bench.kinds = "aws.access_key gcp.hmac_key gcp.authorized_user";
  EXPECT_THAT(
      keys(bench.parse("configuration", "[Credentials]\ngs_oauth2_refresh_token = " + kText + "\n", "aws.access_key")),
      ElementsAre("gcp.authorized_user @ [Credentials]"));
  bench.kinds = "aws.access_key";
  EXPECT_THAT(keys(bench.parse("configuration", "[a]\nrefresh_token = " + kText + "\n", "aws.access_key")),
              ElementsAre("oauth.refresh_token @ [a]"));
  EXPECT_THAT(keys(bench.parse("configuration", "[a]\nJob-Token = " + kText + "\n", "maven.password")),
              ElementsAre("gitlab.job_token @ [a]"));
}

TEST(PrivateKeys, AreWhatTheyAreInAPlaceOfOtherKeys) {
  Bench bench;
  const std::string line = "PRIVATE_KEY=\"" + std::string(kTlsKey) + "\"\n";
  EXPECT_THAT(keys(bench.parse("dotenv", line, "dotenv.secret")), ElementsAre("tls.private_key @ [PRIVATE_KEY]"));
  EXPECT_THAT(keys(bench.parse("configuration", kTlsKey, "vault.storage")), ElementsAre("tls.private_key @ []"));
  EXPECT_THAT(keys(bench.parse("pem", kTlsKey, "github.app_key")), ElementsAre("github.app_key @ []"));
}

TEST(KeyFilesInOneValue, AreTheKeysOfTheirFiles) {
  Bench bench;
  const std::string file = R"({"type": "service_account", "private_key_id": "abcdef0123456789", "client_email":
      "a@p.iam", "private_key": "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"})";
  for (const std::string& value : {"'" + file + "'", base64(file)}) {
    const Found found = bench.parse("dotenv", "GCP_SA_KEY=" + value + "\n", "dotenv.secret");
    ASSERT_EQ(found.keys.size(), 1U) << value;
    EXPECT_EQ(found.keys[0].key.id, "abcdef0123456789");
    EXPECT_EQ(found.keys[0].key.kind, "gcp.service_account_key");
  }
}

TEST(SealedFiles, AreAnEntryThatWasNotRead) {
  Bench bench;
  EXPECT_EQ(bench.parse("configuration", "# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nabcd\n").skipped,
            1U);
}

}  // namespace
}  // namespace keytrail::examine
