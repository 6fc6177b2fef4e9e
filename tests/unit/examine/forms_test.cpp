// SPDX-License-Identifier: Apache-2.0
// Files as people and their tools write them: which field is which kind of key, ids of other services, forms that
// differ from the usual one, and what is said when an entry is left out.
#include <gtest/gtest.h>

#include <map>

#include "tests/unit/examine/fixture.h"
#include "tests/unit/examine/samples.h"

namespace keytrail::examine {
namespace {

std::map<std::string, std::string> kinds_by_secret(const Bench& bench, const Found& found,
                                                   std::initializer_list<std::string_view> secrets) {
  std::map<std::string, std::string> out;
  for (const std::string_view secret : secrets) {
    for (const KeyFact& fact : found.keys) {
      if (fact.key.fingerprint == bench.print(secret)) out[std::string(secret)] = fact.key.kind;
    }
  }
  return out;
}

const std::string kAccess = "aoa" + std::string(40, 'q') + "1";
const std::string kRefresh = "aor" + std::string(40, 'q') + "2";
const std::string kJwt =
    "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogImsxIn0.eyJzdWIiOiAieCIsICJqdGkiOiAiMSJ9.f5lc07KCUOnsLLCDMOyhkJ";

TEST(Fields, OfAnSsoCacheAreThreeKinds) {
  Bench bench;
  bench.kinds = "aws.sso_token aws.sso_refresh_token aws.sso_client";
  const Found found = bench.parse("configuration",
                                  R"({"startUrl": "https://x.awsapps.com/start", "accessToken": ")" + kAccess +
                                      R"(", "clientId": "abc", "clientSecret": ")" + kJwt + R"(", "refreshToken": ")" +
                                      kRefresh + "\"}",
                                  "aws.sso_token");
  ASSERT_EQ(found.keys.size(), 3U);
  const auto kinds = kinds_by_secret(bench, found, {kAccess, kRefresh, kJwt});
  EXPECT_EQ(kinds.at(kAccess), "aws.sso_token");
  EXPECT_EQ(kinds.at(kRefresh), "aws.sso_refresh_token");
  EXPECT_EQ(kinds.at(kJwt), "aws.sso_client");
  for (const KeyFact& fact : found.keys)
    EXPECT_FALSE(fact.untold) << "a refresh token fits nowhere but where it is told to";
}

TEST(Fields, OfAnMsalCacheFollowTheCredentialType) {
  Bench bench;
  bench.kinds = "azure.access_token azure.refresh_token azure.id_token";
  const Found found = bench.parse(
      "configuration",
      R"({"AccessToken": {"u.t-login.windows.net-accesstoken-c-t-x": {"credential_type": "AccessToken", "secret": ")" +
          kAccess +
          R"("}}, "RefreshToken": {"u.t-login-refreshtoken-1--": {"credential_type": "RefreshToken", "secret": ")" +
          kRefresh + R"(", "environment": "login.microsoftonline.com"}}})",
      "azure.access_token");
  ASSERT_EQ(found.keys.size(), 2U);
  const auto kinds = kinds_by_secret(bench, found, {kAccess, kRefresh});
  EXPECT_EQ(kinds.at(kAccess), "azure.access_token");
  EXPECT_EQ(kinds.at(kRefresh), "azure.refresh_token");
  for (const KeyFact& fact : found.keys)
    EXPECT_EQ(fact.host, "") << "a cache key is no host";
}

TEST(Fields, ARefreshTokenBesideAnAccessTokenIsOAuths) {
  Bench bench;
  bench.kinds = "acme.token";
  const Found found = bench.parse(
      "configuration", R"({"access_token": ")" + kAccess + R"(", "refresh_token": ")" + kRefresh + "\"}", "acme.token");
  const auto kinds = kinds_by_secret(bench, found, {kAccess, kRefresh});
  EXPECT_EQ(kinds.at(kAccess), "acme.token");
  EXPECT_EQ(kinds.at(kRefresh), "oauth.refresh_token");
}

TEST(Fields, AGrantThatIsOneValueIsItsRefreshToken) {
  Bench bench;
  const auto file = [](std::string_view access) {
    return "[gdrive]\ntype = drive\ntoken = {\"access_token\":\"ya29." + std::string(access) +
           "\",\"token_type\":\"Bearer\",\"refresh_token\":\"1//0abcdefghijklmnopqrstuvwxyz0123\"}\n";
  };
  const Found found = bench.parse("configuration", file("abcdefghijklmnopqrstuvwxyz"), "rclone.remote_secret");
  const Found later = bench.parse("configuration", file("zyxwvutsrqponmlkjihgfedcba"), "rclone.remote_secret");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].selector, "gdrive");
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print("1//0abcdefghijklmnopqrstuvwxyz0123"));
  EXPECT_EQ(later.keys.at(0).key.id, found.keys[0].key.id) << "the same key however often it is refreshed";
}

TEST(AwsIds, OfOtherServicesHaveAnyShape) {
  Bench bench;
  const Found found = bench.parse(
      "aws_credentials",
      "[r2]\naws_access_key_id = 0123456789abcdef0123456789abcdef\naws_secret_access_key = " + std::string(64, 'd') +
          "\n[minio]\naws_access_key_id = minioadmin\naws_secret_access_key = minio-secret-1\n"
          "[garage]\naws_access_key_id = GK31c2f218a2e44f485b94239e\naws_secret_access_key = " +
          std::string(64, 'e') +
          "\n[plugins-prod]\naws_access_key_id = AKIAAAAAAAAAAAAAAAAA\n"
          "aws_secret_access_key = abcdefghijklmnopqrstuvwxyz\n",
      "aws.access_key");
  ASSERT_EQ(found.keys.size(), 4U);
  EXPECT_EQ(found.keys[0].key.id, "0123456789abcdef0123456789abcdef");
  EXPECT_TRUE(found.keys[0].untold) << "its service is not told by the file";
  EXPECT_EQ(found.keys[1].key.id, "minioadmin");
  EXPECT_EQ(found.keys[2].key.id, "GK31c2f218a2e44f485b94239e");
  EXPECT_EQ(found.keys[3].selector, "plugins-prod");
  EXPECT_FALSE(found.keys[3].untold);
  EXPECT_EQ(found.skipped, 0U);
}

TEST(AwsIds, AreNotShownWhereTheyMayBeTheSecret) {
  Bench bench;
  const Found found =
      bench.parse("aws_credentials", "[r2]\naws_access_key_id = " + std::string(60, 'd') +
                                         "\naws_secret_access_key = 0123456789abcdef0123456789abcdef\n");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.id, bench.print("0123456789abcdef0123456789abcdef").text());
  EXPECT_TRUE(found.keys[0].untold);
  EXPECT_EQ(found.skipped, 0U);
}

TEST(AwsIds, OfAnyShapeAreKeys) {
  Bench bench;
  for (const char* id : {"tenant:key1", "bob@example.com", "account/key1", "tenant$user", "'quoted-id-1'"}) {
    const Found found = bench.parse("aws_credentials", "[x]\naws_access_key_id = " + std::string(id) +
                                                           "\naws_secret_access_key = \"zOM1SOmKtYL2ueOgvNZrZlyq\"\n");
    ASSERT_EQ(found.keys.size(), 1U) << id;
    EXPECT_EQ(found.keys[0].key.fingerprint, bench.print("zOM1SOmKtYL2ueOgvNZrZlyq")) << id;
    EXPECT_EQ(found.skipped, 0U) << id;
  }
}

TEST(EntriesBeyondABound, AreSaid) {
  Bench bench;
  std::string profiles;
  std::string members;
  for (int i = 0; i < 300; ++i) {
    const std::string n = std::to_string(i);
    profiles += "[p" + n + "]\naws_access_key_id = AKIAAAAAAAAAAAAAA" + std::to_string(100 + i) +
                "\naws_secret_access_key = abcdefghijklmnopqrst" + n + "\n";
    members += (i == 0 ? "" : ",") + ("\"p" + n) + R"(": {"token": "abcdefghijklmnopqrst)" + n + "\"}";
  }
  EXPECT_EQ(bench.parse("aws_credentials", profiles).skipped, 300U - role::kMaxKeysPerFile);
  EXPECT_EQ(bench.parse("configuration", "{" + members + "}").skipped, 300U - role::kMaxKeysPerFile);
  std::string tokens;
  for (int i = 0; i < 40; ++i)
    tokens += kJwt + "\n";
  EXPECT_GE(bench.parse("raw_token", tokens).skipped, 1U);
}

TEST(Netrc, ANumberSignInAPasswordIsAPartOfIt) {
  Bench bench;
  const std::string text =
      "# machine no.example login a password b\nmachine h.example login ada password #hash#tag-of-some-length # "
      "comment\n"
      "machine i.example login bob password end#\n";
  const Found found = bench.parse("netrc", text, "conjur.api_key");
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print("#hash#tag-of-some-length"));
  EXPECT_EQ(found.keys[1].selector, "i.example");
  EXPECT_EQ(found.skipped, 0U);
}

TEST(Dotenv, FormsOfItsLoaders) {
  Bench bench;
  for (const std::string_view text :
       {"AWS_ACCESS_KEY_ID: AKIAUJZDEGXDNCF32EPF\nAWS_SECRET_ACCESS_KEY: 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\n",
        "export  AWS_ACCESS_KEY_ID=AKIAUJZDEGXDNCF32EPF\nexport\tAWS_SECRET_ACCESS_KEY=jORS+6ilI8ihN5KXSc7Tvo+hBKqFYY+"
        "kv5ZJr3x9\n",
        "AWS_ACCESS_KEY_ID=`AKIAUJZDEGXDNCF32EPF`\nAWS_SECRET_ACCESS_KEY=`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`"
        "\n"}) {
    const Found found = bench.parse("dotenv", text, "dotenv.secret");
    ASSERT_EQ(found.keys.size(), 1U) << text;
    EXPECT_EQ(found.keys[0].key.id, "AKIAUJZDEGXDNCF32EPF") << text;
    EXPECT_EQ(found.keys[0].key.fingerprint, bench.print("jORS+6ilI8ihN5KXSc7Tvo+hBKqFYY+kv5ZJr3x9")) << text;
  }
  EXPECT_TRUE(bench.parse("dotenv", "A_TOKEN=\nB_TOKEN=''\nC_TOKEN=\"\"\nD_TOKEN=``\n").keys.empty());
}

TEST(DockerConfig, ARegistryTokenAloneIsAKey) {
  Bench bench;
  const Found found =
      bench.parse("docker_config", R"({"auths": {"r.example": {"registrytoken": "EUjfgdSHGUbVwLPDP72vbwoD4vck"}}})",
                  "docker.hub_token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].host, "r.example");
  EXPECT_EQ(found.skipped, 0U);
}

TEST(Pem, BehindBagAttributesHasItsPublicId) {
  Bench bench;
  const std::string bag =
      "Bag Attributes\n    friendlyName: x\nKey Attributes: <No Attributes>\n" + std::string(kTlsKey);
  for (const std::string_view format : {"opaque", "configuration", "pem"}) {
    const Found plain = bench.parse("opaque", kTlsKey, "tls.private_key");
    const Found found = bench.parse(format, bag, "tls.private_key");
    ASSERT_EQ(found.keys.size(), 1U) << format;
    EXPECT_EQ(found.keys[0].key.id, plain.keys.at(0).key.id) << format;
  }
}

TEST(KubeConfig, AnchorsAndMergeKeysAreCopies) {
  Bench bench;
  for (const std::string_view second : {"    token: *t\n", "    <<: *u\n", "    <<: [*u]\n    extra: x\n"}) {
    const std::string text =
        "contexts:\n- {name: a, context: {user: ua}}\n- {name: b, context: {user: ub}}\nusers:\n- name: ua\n  user: "
        "&u\n"
        "    token: &t Q27zo0FlKHu9LlLd72DaALJ7aHbrbI4v\n- name: ub\n  user:\n" +
        std::string(second);
    const Found found = bench.parse("kubeconfig", text, "k8s.static_token");
    ASSERT_EQ(found.keys.size(), 2U) << second;
    EXPECT_EQ(found.keys[1].selector, "b");
    EXPECT_EQ(found.keys[1].key.id, found.keys[0].key.id);
  }
}

TEST(Yaml, AliasesDoNotGrowWithoutBound) {
  Bench bench;
  std::string laughs = "a0: &a0 {token: abcdefghijklmnopqrstuvwxyz}\n";
  std::string deep = "b0: &b0 [[[[[[x]]]]]]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs +=
        "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before + ", " + before + ", " + before + "]\n";
    deep += "b" + std::to_string(i) + ": &b" + std::to_string(i) + " [[[[[[*b" + std::to_string(i - 1) + "]]]]]]\n";
  }
  EXPECT_GT(bench.parse("configuration", laughs).skipped, 0U);
  EXPECT_GT(bench.parse("configuration", deep).skipped, 0U);
  EXPECT_TRUE(bench.parse("configuration", "a: &a [*a, *nothing]\n").keys.empty());
}

TEST(KubeConfig, OfTheLargestSizeIsRead) {
  Bench bench;
  std::string text = "clusters: [{name: c, cluster: {server: 'https://c.example', certificate-authority-data: " +
                     std::string(600000, 'A') +
                     "}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
                     "users: [{name: u, user: {token: Q27zo0FlKHu9LlLd72DaALJ7aHbrbI4v}}]\n";
  EXPECT_EQ(bench.parse("kubeconfig", text, "k8s.static_token").keys.size(), 1U);
}

TEST(PackageManagers, PipsIndexesEachHaveTheirKey) {
  Bench bench;
  const Found found = bench.parse("configuration",
                                  "[global]\nindex-url = https://bob:p%40ss@nexus.example/simple\nextra-index-url =\n"
                                  "    https://carol:tok12345678901234567@a.example/simple\n    "
                                  "https://dave:tok99945678901234567@b.example/simple\n",
                                  "package.password", true, KeyClass::kPassword);
  ASSERT_EQ(found.keys.size(), 3U);
  EXPECT_EQ(label_of(found.keys[0].key.id), "package.password:bob@nexus.example");
  EXPECT_EQ(found.keys[1].selector, "a.example");
  EXPECT_EQ(found.keys[2].selector, "b.example");
}

TEST(PackageManagers, CargosTokenMayNameItsScheme) {
  Bench bench;
  const Found found = bench.parse("configuration", "[registries.my-reg]\ntoken = 'Bearer abcdefghijklmnopqrstuvwxyz'\n",
                                  "crates.token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].selector, "my-reg");
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print("abcdefghijklmnopqrstuvwxyz"));
}

TEST(PackageManagers, AnIdOfOneGradlePropertyIsNotThatOfAnother) {
  Bench bench;
  bench.other_kind = "generic.secret";
  const Found found =
      bench.parse("configuration",
                  "nexusUser=bob\nnexusPassword=s3cr-1234\nsigning.keyId=ABCD1234\nossrhToken = abcdef0123456789\n",
                  "gradle.secret", false, KeyClass::kPassword);
  ASSERT_EQ(found.keys.size(), 2U);
  for (const KeyFact& fact : found.keys)
    EXPECT_NE(fact.key.id, "ABCD1234");
}

TEST(PackageManagers, CondasTokenStandsInAUrlsPath) {
  Bench bench;
  const Found found =
      bench.parse("configuration", "channels:\n  - https://conda.example/t/tk-12345678-abcd/ch\n", "conda.token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].host, "conda.example");
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print("tk-12345678-abcd"));
}

}  // namespace
}  // namespace keytrail::examine
