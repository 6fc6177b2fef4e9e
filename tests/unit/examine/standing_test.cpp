// SPDX-License-Identifier: Apache-2.0
// What is no key: references, dummies; and what kind a value is by itself, whatever its name says.
#include <gtest/gtest.h>

#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

constexpr std::string_view kGithub = "ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";

TEST(References, AreNoKeysInAnyForm) {
  for (const std::string value :
       {"op://Prod/db/password", "vault:secret/data/app#db", "ref+vault://secret/app#/token", "awsssm:/prod/x",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf",
        "projects/123/secrets/api/versions/latest",
        "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/x/)", "$(gh auth token)", "`pass show api`",
        "$DB_PASS", "${X:-}", "{{ token }}", "%(token)s", "ENC[AES256_GCM,data:Tr7o=,iv:1=]", "{cipher}AQB2b3",
        "encrypted:BFb4Xk0kPq1n8P5oQH3WqYdZq3o8gkSxh9Zb5QO0D8"}) {
    for (const std::string name : {"DB_PASSWORD", "API_TOKEN", "GITHUB_TOKEN"}) {
      Bench bench;
      EXPECT_TRUE(bench.parse("dotenv", name + "=" + value + "\n", "dotenv.secret").keys.empty()) << name << value;
      for (const KeyFact& fact : bench.parse("configuration", "[x]\n" + name + " = " + value + "\n", "x.y").keys)
        EXPECT_EQ(fact.variable + fact.key.id, "X") << value;
    }
    Bench bench;
    EXPECT_TRUE(bench.parse("raw_token", value + "\n", "github.token").keys.empty()) << value;
    EXPECT_TRUE(bench.parse("opaque", value, "generic.secret").keys.empty()) << value;
    EXPECT_TRUE(bench.parse("netrc", "machine h.example login a password \"" + value + "\"\n").keys.empty()) << value;
  }
}

TEST(References, OfARegistryLeaveItsHost) {
  Bench bench;
  const Found found = bench.parse("npmrc", "//npm.example/:_authToken=${CI_DEPLOY_K}\n", "npm.token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.id, "") << "the key is elsewhere";
  EXPECT_EQ(found.keys[0].host, "npm.example");
}

TEST(Dummies, AreSaidToBeDummies) {
  Bench bench;
  const Found found = bench.parse("dotenv",
                                  "API_TOKEN=changeme\nDB_PASSWORD=your-password-here\n"
                                  "STRIPE_SECRET_KEY=sk_test_xxxxxxxxxxxxxxxxxxxxxxxx\nX_API_KEY=<your key>\n"
                                  "Y_TOKEN=REPLACE_ME\nGITHUB_TOKEN=test\n",
                                  "dotenv.secret");
  ASSERT_EQ(found.keys.size(), 6U);
  for (const KeyFact& fact : found.keys) {
    EXPECT_EQ(fact.key.kind, "generic.dummy") << fact.selector;
    EXPECT_FALSE(fact.untold) << "else its place's kinds would fit";
    EXPECT_TRUE(fact.key.fingerprint.empty());
  }
}

TEST(Dummies, HaveNeighbours) {
  const std::string filler = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
  for (const std::string value :
       {"none", "null", "N/A", "fake", "foobar", "undefined", "[REDACTED]", "redacted", "TBD", "unset", "sample",
        "disabled", "test", "abc123", "secret", "<token>", "dummy-token", "todo: ask ops"}) {
    Bench bench;
    for (const std::string name : {"GITHUB_TOKEN", "GITLAB_TOKEN", "NPM_TOKEN"}) {
      const Found found = bench.parse("dotenv", name + "=" + value + "\n", "dotenv.secret");
      for (const KeyFact& fact : found.keys)
        EXPECT_EQ(fact.key.kind, "generic.dummy") << name << " " << value;
    }
  }
  for (const std::string& value : {"ghp_" + filler, "glpat-" + filler, "sk-" + filler, "hf_" + filler, "xoxb-" + filler,
                                   "AKIA" + filler, "npm_" + filler, "hvs." + filler}) {
    Bench bench;
    const Found found = bench.parse("dotenv", "API_TOKEN=" + value + "\n", "dotenv.secret");
    ASSERT_EQ(found.keys.size(), 1U) << value;
    if (!value.starts_with("AKIA")) EXPECT_EQ(found.keys[0].key.kind, "generic.dummy") << value;
  }
}

TEST(Dummies, OfADocumentation) {
  Bench bench;
  const std::string secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  const Found found = bench.parse(
      "aws_credentials", "[a]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = " + secret + "\n",
      "aws.access_key");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "generic.dummy");
  EXPECT_EQ(found.keys[0].selector, "a");
}

TEST(Dummies, AValueOfAnUnknownShapeMayBeAnotherServicesKey) {
  Bench bench;
  const Found found = bench.parse("dotenv", "OPENAI_API_KEY=0123456789abcdef0123456789abcdef\n", "dotenv.secret");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "dotenv.secret");
  EXPECT_TRUE(found.keys[0].untold);
}

TEST(Content, SaysTheKindInAnyPlace) {
  for (const std::string_view format : {"opaque", "raw_token", "configuration"}) {
    Bench bench;
    const Found found = bench.parse(format, kGithub, "broker.secret");
    ASSERT_EQ(found.keys.size(), 1U) << format;
    EXPECT_EQ(found.keys[0].key.kind, "github.token") << format;
    EXPECT_FALSE(found.keys[0].untold) << format;
  }
}

TEST(EncryptionKeys, AreKnownByTheirNames) {
  Bench bench;
  for (const std::string text : {"APP_ENCRYPTION_KEY=0123456789abcdef0123\n", "FERNET_KEY=0123456789abcdef0123\n"}) {
    const Found found = bench.parse("dotenv", text, "dotenv.secret");
    ASSERT_EQ(found.keys.size(), 1U) << text;
    EXPECT_NE(found.keys[0].key.kind, "dotenv.secret") << text;
  }
  const Found found = bench.parse("configuration", "app:\n  encryption_key: 0123456789abcdef0123\n", "generic.secret");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "generic.encryption_key");
}

TEST(References, WhatATemplateFillsInIsNoKey) {
  Bench bench;
  for (const char* value :
       {"#{api.token}", "__API_TOKEN__", "%%TOKEN%%", "@@TOKEN@@", "[[TOKEN]]", "((prod/token))", "{{ vault_token }}",
        "$[variables.token]", "prefix-${TOKEN}-x", "user:${PASSWORD}", "bao:secret/data/x#y"})
    EXPECT_TRUE(bench.parse("dotenv", "API_TOKEN=" + std::string(value) + "\n", "dotenv.secret").keys.empty()) << value;
  EXPECT_EQ(bench.parse("dotenv", "API_TOKEN=__k9Xw2Lq8Rt5Vn3Bz7\n", "dotenv.secret").keys.size(), 1U);
}

TEST(Dummies, WordsThatStandInForAKey) {
  Bench bench;
  for (const char* value : {"my-secret-token", "not-a-real-key", "enter_your_key", "test", "xxx", "...", "***",
                            "00000000-0000-0000-0000-000000000000", "xoxb-your-token"}) {
    const Found found = bench.parse("dotenv", "API_TOKEN=" + std::string(value) + "\n", "dotenv.secret");
    ASSERT_EQ(found.keys.size(), 1U) << value;
    EXPECT_EQ(found.keys[0].key.kind, "generic.dummy") << value;
  }
  for (const char* line : {"DB_PASSWORD=test\n", "API_TOKEN=blue-green-1\n", "API_TOKEN=fake-Xq7vT2mN8sK4wL9z\n"}) {
    const Found found = bench.parse("dotenv", line, "dotenv.secret");
    ASSERT_EQ(found.keys.size(), 1U) << line;
    EXPECT_NE(found.keys[0].key.kind, "generic.dummy") << line;
  }
}

}  // namespace
}  // namespace keytrail::examine
