// SPDX-License-Identifier: Apache-2.0
// Files that an attacker would leave in a key's place: every parser ends soon, bounded, and without a secret in what it
// says.
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

std::string repeated(std::string_view unit, std::size_t bytes) {
  std::string out;
  while (out.size() + unit.size() <= bytes)
    out += unit;
  return out;
}

// One that is not linear runs into ctest's limit here, and into the 5 s of tests/fuzz: no clock is asked.
TEST(Hostile, EveryParserEndsAndIsBounded) {
  Bench bench;
  const std::string_view units[] = {"-----BEGIN PRIVATE KEY-----",
                                    "-----BEGIN A-----\n-----END B-----\n",
                                    "-----BEGIN ",
                                    "eyJ.",
                                    "eyJhIjo.",
                                    "[a]\n",
                                    "[",
                                    "a=b\n",
                                    "A=b; ",
                                    "A=b;\t",
                                    "A=:;&",
                                    "A: b; ",
                                    "AKIAIOSFODNN7EXAMPLE ",
                                    std::string_view("\0", 1),
                                    "\n",
                                    "-----END ",
                                    "[x\xff]\naws_access_key_id=AKIAAAAAAAAAAAAAAAAA\naws_secret_access_key=s\n"};
  for (const std::string_view unit : units) {
    const std::string bytes = repeated(unit, role::kMaxFileBytes);
    for (const std::string_view format : format_names()) {
      const Found found = bench.parse(format, bytes);
      EXPECT_LE(found.keys.size(), role::kMaxKeysPerFile) << format << " " << unit;
    }
  }
}

TEST(Hostile, AListInAListGoesNoDeeper) {
  const std::string lists = repeated("environment=", 900'000);
  const std::string token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
  for (const std::string& text : {"[a]\n" + lists + "x\n", "a:\n  environment:\n  - " + lists + "x\n",
                                  "{\"a\": {\"environment\": \"" + lists + "x\"}}"}) {
    for (const std::string_view format : {"configuration", "dotenv"}) {
      Bench bench;
      EXPECT_TRUE(bench.parse(format, text).keys.empty()) << format;
    }
  }
  Bench bench;
  const Found found = bench.parse("configuration", "[a]\nenvironment=environment=x,GITHUB_TOKEN=" + token + "\n");
  ASSERT_EQ(found.keys.size(), 1U) << "what stands beside it stays";
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print(token));
}

// Quadratic, these run into ctest's limit.
TEST(Hostile, ReferencesInReferencesTakeTimeOnce) {
  const std::string name = "PASSWORD=";
  for (const std::string& text : {name + repeated("${", 1'000'000), name + repeated("${", 1'000'000) + "}"}) {
    for (const std::string_view format : {"configuration", "dotenv", "npmrc"}) {
      Bench bench;
      EXPECT_LE(bench.parse(format, text + "\n").keys.size(), 1U) << format;
    }
  }
}

TEST(Hostile, RandomBytesAreNoKeysOfTheStructuredFormats) {
  Bench bench;
  std::mt19937 random(42);
  for (int round = 0; round < 300; ++round) {
    std::string bytes(random() % 4096, '\0');
    for (char& c : bytes)
      c = static_cast<char>(random());
    for (const std::string_view format : {"aws_credentials", "jwt", "pem", "ssh_private_key"})
      EXPECT_TRUE(bench.parse(format, bytes).keys.empty());
  }
}

TEST(Hostile, MoreThan256KeysAreCounted) {
  Bench bench;
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    bytes += "[p" + std::to_string(i) +
             "]\naws_access_key_id=AKIAAAAAAAAAAAAAAAAA\naws_secret_access_key=abcdefghijklmnopqrstuvwxyz\n";
  }
  const Found found = bench.parse("aws_credentials", bytes);
  EXPECT_EQ(found.keys.size(), 256U);
  EXPECT_EQ(found.skipped, 44U);
}

TEST(Hostile, TooLargeIsSaid) {
  Bench bench;
  EXPECT_EQ(bench.parse("opaque", std::string(role::kMaxFileBytes + 1, 'x')).unread, role::Unread::kTooLarge);
}

TEST(Hostile, AnUnknownFormatIsSaid) {
  Bench bench;
  EXPECT_EQ(bench.parse("no_such_format", "x").unread, role::Unread::kUnknownFormat);
}

TEST(Hostile, TheScratchMemoryIsWiped) {
  Bench bench;
  (void)bench.parse("jwt", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnktY2FuYXJ5In0.sig");
  EXPECT_TRUE(bench.scratch.clean());
}

TEST(Hostile, NoSecretIsInWhatIsFound) {
  Bench bench;
  const std::string canary = "CanaryCanaryCanaryCanary0123456789";
  for (const std::string_view format : format_names()) {
    const Found found = bench.parse(
        format, "[a]\naws_access_key_id = AKIAAAAAAAAAAAAAAAAA\naws_secret_access_key = " + canary + "\n", "some.kind");
    for (const KeyFact& fact : found.keys) {
      for (const std::string& text :
           {fact.key.id, fact.key.kind, fact.key.principal, fact.key.parent, fact.selector, fact.variable}) {
        EXPECT_EQ(text.find("Canary"), std::string::npos) << format;
      }
    }
  }
}

TEST(Hostile, NumberedKeysOfALongLoginKeepTheirNumbers) {
  Bench bench;
  std::string login = "a";
  while (login.size() < 250)
    login += "\u00e9";
  const Found found =
      bench.parse("netrc", "machine one.example login " + login + " password first\nmachine one.example login " +
                               login + " password second\n");
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_NE(found.keys[0].key.id, found.keys[1].key.id);
  for (const KeyFact& fact : found.keys) {
    EXPECT_LE(fact.key.id.size(), 254U);
    EXPECT_TRUE(is_name(fact.key.id, 254));
  }
}

TEST(Hostile, ASecretGivenAsANameIsLeftOut) {
  const std::string token = "ghp_" + std::string(36, 'c');
  const std::string jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.sig";
  const std::pair<std::string, std::string> files[] = {
      {"netrc", "machine github.com login " + token + " password x-oauth-basic\n"},
      {"netrc", "machine github.com login " + jwt + " password something-else\n"},
      {"configuration", R"({"host": "r.example", "username": ")" + token + R"(", "password": "short"})"},
      {"configuration", "[" + token + "]\ntoken = another-token-0123456789\n"},
      {"kubeconfig", "users:\n- name: " + token + "\n  user: {token: another-token-0123456789}\n"},
      {"docker_config", R"({"auths": {"r.example": {"auth": ")" + base64(token + ":x") + R"("}}})"},
      {"npmrc", "//r.example/:username=" + token + "\n//r.example/:_password=" + base64("short") + "\n"},
      {"configuration",
       R"({"user": "canary-of-16-bytes", "token": "canary-of-16-bytes", "name": "canary-of-16-bytes"})"},
      {"aws_credentials",
       "[a]\naws_access_key_id = AKIACCCCCCCCCCCCCCCC\naws_secret_access_key = AKIACCCCCCCCCCCCCCCC\n"}};
  for (const auto& [format, text] : files) {
    Bench bench;
    const Found found = bench.parse(format, text);
    EXPECT_FALSE(found.keys.empty()) << format << "\n" << text;
    for (const KeyFact& fact : found.keys) {
      const std::string all =
          fact.key.id + " " + fact.key.principal + " " + fact.key.parent + " " + fact.selector + " " + fact.host;
      for (const std::string& secret : {token, jwt, std::string("canary-of-16"), std::string("AKIAC")})
        EXPECT_EQ(all.find(secret), std::string::npos) << format << "\n" << text;
    }
  }
}

}  // namespace
}  // namespace keytrail::examine
