// SPDX-License-Identifier: Apache-2.0
// Files of logins for hosts: .git-credentials, .netrc, .pgpass, docker's config.json, .npmrc, .pypirc.
#include <gtest/gtest.h>

#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

constexpr std::string_view kGithub = "ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";
constexpr std::string_view kNpm = "npm_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";

TEST(GitCredentials, EachLineIsAKeyOfItsHost) {
  Bench bench;
  const Found found = bench.parse("git_credentials",
                                  "https://ada:" + std::string(kGithub) +
                                      "@github.com\nhttps://ada:p%40ss%2Fword-of-some-length@git.example%3a8443\r\n\n",
                                  "git.password", true, KeyClass::kPassword);
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].key.kind, "github.token");
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print(kGithub));
  EXPECT_EQ(found.keys[0].selector, "github.com");
  EXPECT_EQ(found.keys[0].host, "github.com");
  EXPECT_EQ(found.keys[0].key.principal, "ada");
  EXPECT_EQ(label_of(found.keys[1].key.id), "git.password:ada@git.example%3a8443");
  EXPECT_TRUE(found.keys[1].key.fingerprint.empty());
  EXPECT_TRUE(found.keys[1].untold);
}

TEST(GitCredentials, BadLinesAreCounted) {
  Bench bench;
  EXPECT_EQ(bench.parse("git_credentials", "https://github.com\nhttps://ada:x@h\nnonsense\n", "git.password").skipped,
            2U);
  EXPECT_EQ(bench.parse("git_credentials", "nonsense\n").unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("git_credentials", std::string_view("https://a:b@c\0", 14)).unread,
            role::Unread::kUnknownFormat);
}

TEST(HostsFile, GivesEachNameWithItsAddress) {
  Bench bench;
  const Found found = bench.parse("hosts_file",
                                  "127.0.0.1 localhost\n# comment\n198.51.100.7\tS3.example other # x\r\n"
                                  "2001:DB8:0::1 six.example\nnonsense here\n");
  std::vector<std::string> names;
  for (const KeyFact& fact : found.keys)
    names.push_back(fact.host + " " + fact.selector + fact.key.id);
  EXPECT_EQ(names,
            (std::vector<std::string>{"S3.example 198.51.100.7", "other 198.51.100.7", "six.example 2001:db8::1"}));
  EXPECT_EQ(found.skipped, 1U);
  EXPECT_EQ(found.unread, role::Unread::kNone);
  EXPECT_EQ(bench.parse("hosts_file", "").unread, role::Unread::kNone);
}

TEST(Netrc, GivesAKeyForEachMachine) {
  Bench bench;
  const Found found = bench.parse(
      "netrc",
      "# mine\nmachine api.example.com login ada password \"two words\\\" here\"\n"
      "machine github.com\n  login x-access-token\n  password " +
          std::string(kGithub) +
          "\n"
          "macdef init\nmachine no.example password no\n\ndefault login anonymous password ada@example.com\n"
          "machine empty.example login ada\n",
      "http.basic_password", true, KeyClass::kPassword);
  ASSERT_EQ(found.keys.size(), 3U);
  EXPECT_EQ(label_of(found.keys[0].key.id), "http.basic_password:ada@api.example.com");
  EXPECT_EQ(found.keys[0].selector, "api.example.com");
  EXPECT_EQ(found.keys[1].key.kind, "github.token");
  EXPECT_EQ(found.keys[1].host, "github.com");
  EXPECT_EQ(found.keys[2].selector, "default");
  EXPECT_EQ(found.keys[2].host, "");
  EXPECT_EQ(found.skipped, 0U);
}

TEST(Netrc, OfAToolThatKeepsApiKeysThere) {
  Bench bench;
  const Found found =
      bench.parse("netrc", "machine https://conjur.example/authn\nlogin host/web\npassword 2ab3c4d5e6f7a8b9c0d1e2f3\n",
                  "conjur.api_key");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "conjur.api_key");
  EXPECT_FALSE(found.keys[0].key.fingerprint.empty());
}

TEST(Netrc, StrayWordsAreCounted) {
  Bench bench;
  EXPECT_EQ(bench.parse("netrc", "machine a.example what login b password c\n").skipped, 1U);
  EXPECT_EQ(bench.parse("netrc", "not a netrc file at all\n").unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("netrc", "machine").keys.size(), 0U);
  EXPECT_EQ(bench.parse("netrc", "machine a password \"x\\").unread, role::Unread::kNone);
}

TEST(Pgpass, EachLineIsAPasswordOfItsServer) {
  Bench bench;
  const Found found =
      bench.parse("pgpass", "# c\ndb.example:5432:*:ada:s3\\:cr\\\\et\n*:*:*:postgres:other\nlocalhost:*:x:ada:third\n",
                  "postgres.password", true, KeyClass::kPassword);
  ASSERT_EQ(found.keys.size(), 3U);
  EXPECT_EQ(label_of(found.keys[0].key.id), "postgres.password:ada@db.example:5432");
  EXPECT_EQ(found.keys[0].selector, "db.example:5432:*:ada");
  EXPECT_EQ(found.keys[0].host, "db.example:5432");
  EXPECT_EQ(found.keys[1].host, "");
  EXPECT_EQ(found.keys[2].host, "localhost");
  // The escapes are taken off: the same password written otherwise is the same key.
  const Found again =
      bench.parse("pgpass", "db.example:5432:y:ada:s3\\:cr\\\\et\n", "postgres.password", true, KeyClass::kPassword);
  EXPECT_EQ(again.keys.at(0).key.id, found.keys[0].key.id);
}

TEST(Pgpass, BadLinesAreCounted) {
  Bench bench;
  const Found found =
      bench.parse("pgpass", "a:b:c\na:1:b:c:\nok:1:b:c:d\n" + std::string(2000, ':') + "\n", "postgres.password");
  EXPECT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.skipped, 3U);
  EXPECT_EQ(bench.parse("pgpass", "hello\n").unread, role::Unread::kUnknownFormat);
}

TEST(DockerConfig, GivesAKeyForEachRegistry) {
  Bench bench;
  bench.other_kind = "registry.password";
  const std::string file =
      R"({"auths": {"https://index.docker.io/v1/": {"auth": ")" + base64("ada:dckr_pat_abcdefghijklmnopqrstuvwxyz0") +
      R"("}, "registry.example:5000/team": {"auth": ")" + base64("bob:correct horse battery") +
      R"("}, "ghcr.io": {}, "acr.example": {"auth": ")" + base64("00000000-0000-0000-0000-000000000000:") +
      R"(", "identitytoken": "abcdefghijklmnopqrst"}}, "credHelpers": {"x.example": "ecr-login"},
      "HttpHeaders": {"User-Agent": "d"}})";
  const Found found = bench.parse("docker_config", file, "docker.hub_token");
  ASSERT_EQ(found.keys.size(), 5U);
  EXPECT_EQ(found.keys[0].selector, "https://index.docker.io/v1/");
  EXPECT_EQ(found.keys[0].host, "index.docker.io");
  EXPECT_EQ(found.keys[0].key.kind, "docker.hub_token");
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print("dckr_pat_abcdefghijklmnopqrstuvwxyz0"));
  EXPECT_EQ(found.keys[0].key.principal, "ada");
  EXPECT_EQ(found.keys[1].host, "registry.example:5000");
  EXPECT_EQ(label_of(found.keys[1].key.id), "registry.password:bob@registry.example:5000");
  EXPECT_TRUE(found.keys[1].key.fingerprint.empty());
  EXPECT_EQ(found.keys[2].host + found.keys[2].key.id, "ghcr.io") << "a helper keeps it";
  EXPECT_EQ(found.keys[3].selector, "acr.example");
  EXPECT_EQ(found.keys[3].key.fingerprint, bench.print("abcdefghijklmnopqrst"));
  EXPECT_EQ(found.keys[4].host + found.keys[4].key.id, "x.example");
  EXPECT_EQ(found.skipped, 0U);
}

TEST(DockerConfig, GooglesRegistriesTakeAKeyFile) {
  Bench bench;
  const std::string key =
      R"({"type": "service_account", "private_key_id": "abcdef",
      "private_key": "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"})";
  const Found found =
      bench.parse("docker_config", R"({"auths": {"eu.gcr.io": {"auth": ")" + base64("_json_key:" + key) + R"("}}})",
                  "docker.hub_token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "gcp.service_account_key");
  EXPECT_EQ(found.keys[0].key.id, "abcdef");
  EXPECT_EQ(found.keys[0].host, "eu.gcr.io");
}

TEST(DockerConfig, ReadsTheOldForm) {
  Bench bench;
  bench.other_kind = "registry.password";
  const Found found =
      bench.parse("docker_config", R"({"quay.io": {"auth": ")" + base64("a:b") + R"(", "email": "a@b"}, "x": 5})",
                  "docker.hub_token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].selector, "quay.io");
}

TEST(DockerConfig, BadEntriesAreCounted) {
  Bench bench;
  EXPECT_EQ(bench.parse("docker_config", R"({"auths": {"a": {"auth": "%%%"}, "b": 5, "c": {"auth": "YWJj"}}})").skipped,
            3U);
  EXPECT_EQ(bench.parse("docker_config", R"({"auths": )").unread, role::Unread::kUnknownFormat);
  EXPECT_TRUE(bench.parse("docker_config", R"({"credsStore": "pass"})").keys.empty());
}

TEST(Npmrc, GivesAKeyForEachRegistry) {
  Bench bench;
  bench.other_kind = "package.password";
  const Found found = bench.parse(
      "npmrc",
      "; mine\nregistry=https://npm.example/\n@corp:registry=https://npm.pkg.github.com\n"
      "//npm.pkg.github.com/:_authToken=" +
          std::string(kGithub) + "\n//registry.npmjs.org/:_authToken=\"" + std::string(kNpm) +
          "\"\n//npm.example/team/:username = ada\n//npm.example/team/:_password=" + base64("correct horse battery") +
          "\n_auth=" + base64("bob:another password") + "\n//x.example/:_authToken=${NPM_TOKEN}\nalways-auth=true\n",
      "npm.token");
  ASSERT_EQ(found.keys.size(), 5U);
  EXPECT_EQ(found.keys[4].host, "x.example");
  EXPECT_EQ(found.keys[4].key.id, "") << "a variable's";
  EXPECT_EQ(found.keys[0].selector, "npm.example");
  EXPECT_EQ(label_of(found.keys[0].key.id), "package.password:bob@npm.example") << "_auth is the default registry's";
  EXPECT_EQ(found.keys[1].selector, "npm.example/team");
  EXPECT_EQ(found.keys[1].host, "npm.example");
  EXPECT_EQ(label_of(found.keys[1].key.id), "package.password:ada@npm.example");
  EXPECT_EQ(found.keys[2].key.kind, "github.token");
  EXPECT_EQ(found.keys[2].host, "npm.pkg.github.com");
  EXPECT_EQ(found.keys[3].key.kind, "npm.token");
  EXPECT_EQ(found.keys[3].key.fingerprint, bench.print(kNpm));
}

TEST(Npmrc, CommentsAndQuotedNamesAreAsNpmReadsThem) {
  Bench bench;
  const std::string token(kNpm);
  const Found found = bench.parse(
      "npmrc", "//a.example/:_authToken=" + token + " ; old token\n\"//b.example/:_authToken\" = \"" + token + "\"\n",
      "npm.token");
  ASSERT_EQ(found.keys.size(), 2U);
  for (const KeyFact& fact : found.keys)
    EXPECT_EQ(fact.key.fingerprint, bench.print(kNpm)) << fact.host;
}

TEST(Npmrc, WithoutAKeyGivesNone) {
  Bench bench;
  const Found found =
      bench.parse("npmrc", "fund=false\nregistry=https://registry.npmjs.org/\n\n[x]\n//:_x\n=\n", "npm.token");
  EXPECT_TRUE(found.keys.empty());
  EXPECT_EQ(found.unread, role::Unread::kNone);
  EXPECT_EQ(bench.parse("npmrc", "_auth=%%%\n//a/:_password=!\n").skipped, 2U);
  EXPECT_EQ(bench.parse("npmrc", std::string_view("a=b\0", 4)).unread, role::Unread::kUnknownFormat);
}

TEST(Pypirc, GivesAKeyForEachRepository) {
  Bench bench;
  bench.other_kind = "package.password";
  const std::string token = "pypi-AgEIcHlwaS5vcmc" + std::string(60, 'x');
  const Found found = bench.parse(
      "configuration",
      "[distutils]\nindex-servers =\n    pypi\n    corp\n\n[pypi]\nusername = __token__\npassword = " + token +
          "\n[corp]\nrepository: https://pypi.corp.example/simple\nusername: ada\npassword: correct horse battery\n",
      "pypi.token");
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].selector, "pypi");
  EXPECT_EQ(found.keys[0].key.kind, "pypi.token");
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print(token));
  EXPECT_EQ(found.keys[1].selector, "corp");
  EXPECT_EQ(found.keys[1].host, "pypi.corp.example");
  EXPECT_EQ(label_of(found.keys[1].key.id), "package.password:ada@pypi.corp.example");
}

}  // namespace
}  // namespace keytrail::examine
