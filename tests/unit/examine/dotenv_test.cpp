// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/unit/examine/fixture.h"
#include "tests/unit/examine/samples.h"

namespace keytrail::examine {
namespace {

const KeyFact* key_of(const Found& found, std::string_view variable) {
  for (const KeyFact& fact : found.keys) {
    if (fact.selector == variable) return &fact;
  }
  return nullptr;
}

TEST(Dotenv, EachSecretVariableIsAKey) {
  Bench bench;
  const Found found = bench.parse(
      "dotenv",
      "# settings\nexport GITHUB_TOKEN=ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789\nNODE_ENV=production # not secret\n"
      "DATABASE_URL=\"postgres://ada:pa%40ss@db.example:5432/x\"\nMY_APP_SECRET='single $quoted value-of-length'\n"
      "OPENAI_API_KEY=sk-proj-0123456789abcdefghij\r\nEMPTY_TOKEN=\nLATER_TOKEN=${OTHER}\nPOSTGRES_PASSWORD=hunter2\n"
      "AWS_ACCESS_KEY_ID=AKIAAAAAAAAAAAAAAAAA\nAWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/"
      "bPxRfiCYEXAMPLEAAA\nHOST=h.example\n",
      "dotenv.secret");
  ASSERT_EQ(found.keys.size(), 5U);
  EXPECT_EQ(key_of(found, "GITHUB_TOKEN")->key.kind, "github.token");
  EXPECT_EQ(label_of(key_of(found, "DATABASE_URL")->key.id), "postgres.password:ada@db.example:5432");
  EXPECT_EQ(key_of(found, "MY_APP_SECRET"), nullptr) << "words are no token";
  EXPECT_EQ(key_of(found, "OPENAI_API_KEY")->key.kind, "openai.api_key");
  EXPECT_EQ(label_of(key_of(found, "POSTGRES_PASSWORD")->key.id), "postgres.password");
  EXPECT_EQ(key_of(found, "AWS_ACCESS_KEY_ID")->key.id, "AKIAAAAAAAAAAAAAAAAA");
  EXPECT_EQ(key_of(found, "AWS_ACCESS_KEY_ID")->key.fingerprint,
            bench.print("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEAAA"));
  for (const KeyFact& fact : found.keys)
    EXPECT_NE(fact.host, "h.example") << "of variables, none speaks for the others";
}

TEST(Dotenv, AnUnknownNameGetsThePlacesKind) {
  Bench bench;
  const Found found = bench.parse("dotenv", "ACME_TOKEN=0123456789abcdef0123\n", "dotenv.secret");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "dotenv.secret");
  EXPECT_EQ(found.keys[0].selector, "ACME_TOKEN");
  EXPECT_TRUE(found.keys[0].untold);
}

TEST(Dotenv, QuotedValuesMaySpanLines) {
  Bench bench;
  std::string escaped(kTlsKey);
  for (std::size_t at = escaped.find('\n'); at != std::string::npos; at = escaped.find('\n'))
    escaped.replace(at, 1, "\\n");
  for (const std::string& value : {std::string(kTlsKey), escaped}) {
    const Found found = bench.parse(
        "dotenv", "A=1\nSIGNING_PRIVATE_KEY=\"" + value + "\"\nACME_TOKEN=0123456789abcdef0123\n", "dotenv.secret");
    ASSERT_EQ(found.keys.size(), 2U);
    EXPECT_EQ(found.keys[0].key.id.substr(0, 5), "spki:");
    EXPECT_EQ(found.keys[0].selector, "SIGNING_PRIVATE_KEY");
  }
}

TEST(Dotenv, VariablesBeyondTheBoundAreCounted) {
  Bench bench;
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += "A" + std::to_string(i) + "=b\n";
  EXPECT_EQ(bench.parse("dotenv", text).skipped, 5000U - 4096U);
}

TEST(Dotenv, TheBoundEndsTheReadingOfOneLineToo) {
  Bench bench;
  std::string text;
  for (int i = 0; i < 5000; ++i)
    text += "A" + std::to_string(i) + "=b; ";
  const Found found = bench.parse("dotenv", text + "ACME_TOKEN=0123456789abcdef0123\n", "dotenv.secret");
  EXPECT_TRUE(found.keys.empty());
  EXPECT_EQ(found.skipped, 1U) << "the rest is one entry";
  std::string lines;
  for (int i = 0; i < 5000; ++i)
    lines += "some words\n";
  EXPECT_EQ(bench.parse("dotenv", lines + "ACME_TOKEN=0123456789abcdef0123\n", "dotenv.secret").keys.size(), 1U)
      << "lines of no variable cost nothing";
}

TEST(Dotenv, AValueEndsAtTheFirstSemicolonThatABlankFollows) {
  for (const std::string_view end : {"; export A", ";\texport A", ";\r", ";"}) {
    Bench bench;
    const Found found =
        bench.parse("dotenv", "ACME_PASSWORD=a;b;hunter2" + std::string(end) + "\nB=c\n", "dotenv.secret");
    Bench plain;
    const Found same = plain.parse("dotenv", "ACME_PASSWORD='a;b;hunter2'\n", "dotenv.secret");
    ASSERT_EQ(found.keys.size(), 1U) << end;
    ASSERT_EQ(same.keys.size(), 1U);
    EXPECT_EQ(found.keys[0].key.id, same.keys[0].key.id) << end;
  }
}

TEST(Dotenv, BadInputIsSaid) {
  Bench bench;
  EXPECT_EQ(bench.parse("dotenv", "no variables here\n").unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("dotenv", std::string_view("A_TOKEN=x\0", 10)).unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("dotenv", "# only a comment\n").unread, role::Unread::kNone);
  EXPECT_TRUE(bench.parse("dotenv", "A_TOKEN=\"never closed and so a value with words\n").keys.empty());
  EXPECT_TRUE(bench.parse("dotenv", "=x\n1A=b\n===\n").keys.empty());
}

}  // namespace
}  // namespace keytrail::examine
