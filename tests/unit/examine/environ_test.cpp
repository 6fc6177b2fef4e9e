// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>

#include "agent/examine/facts.h"
#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

using namespace std::string_view_literals;

constexpr std::array<catalog::EnvName, 10> kNames{{
    {.name = "_TOKEN", .action = catalog::EnvAction::kSecret, .suffix = true},
    {.name = "SHOWN_TOKEN", .action = catalog::EnvAction::kShow},
    {.name = "MYSQL_PWD", .action = catalog::EnvAction::kSecret, .unhashed = true},
    {"AWS_ACCESS_KEY_ID", catalog::EnvAction::kShow},
    {"AWS_SECRET_ACCESS_KEY", catalog::EnvAction::kSecret},
    {"TF_TOKEN_", catalog::EnvAction::kSecret, true},
    {"HTTPS_PROXY", catalog::EnvAction::kShow},
    {.name = "CACHE_URL",
     .action = catalog::EnvAction::kSecret,
     .unhashed = true,
     .kind = "redis.password",
     .url = true},
    {.name = "DB_URL", .action = catalog::EnvAction::kSecret, .unhashed = true, .kind = "db.password", .url = true},
    {.name = "REPORT_DSN", .action = catalog::EnvAction::kSecret, .kind = "sentry.dsn", .url = true},
}};

Found read(std::string_view bytes) {
  static ExaminerState state{.key = {7}, .env = kNames};
  static Arena scratch(1U << 20U);
  Found found;
  parse_environment(bytes, state, scratch, found);
  return found;
}

TEST(Environ, ShowsIdentifiersAndHashesSecrets) {
  const Found found =
      read("PATH=/bin\0AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\0AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG\0"sv);
  ASSERT_EQ(found.env.size(), 2U);
  EXPECT_EQ(found.env[0].value, "AKIAIOSFODNN7EXAMPLE");
  EXPECT_TRUE(found.env[0].fingerprint.empty());
  EXPECT_TRUE(found.env[1].value.empty());
  EXPECT_EQ(found.env[1].fingerprint, base::fingerprint_of({7}, "wJalrXUtnFEMI/K7MDENG"));
  EXPECT_EQ(found.env[1].length, 21U);
}

TEST(Environ, GivesNoFingerprintOfAShortSecret) {
  const Found found = read("AWS_SECRET_ACCESS_KEY=short\0"sv);
  ASSERT_EQ(found.env.size(), 1U);
  EXPECT_TRUE(found.env[0].fingerprint.empty());
  EXPECT_EQ(found.env[0].length, 5U);
}

TEST(Environ, MatchesPrefixes) {
  EXPECT_EQ(read("TF_TOKEN_app_terraform_io=abcdefghijklmnop\0TF_TOKE=x\0"sv).env.size(), 1U);
}

TEST(Environ, MatchesSuffixesAfterExactNames) {
  const Found found = read("MY_TOKEN=abcdefghijklmnopq\0SHOWN_TOKEN=public\0TOKEN=x\0"sv);
  ASSERT_EQ(found.env.size(), 2U);
  EXPECT_EQ(found.env[0].fingerprint, base::fingerprint_of({7}, "abcdefghijklmnopq"));
  EXPECT_EQ(found.env[1].value, "public");
}

TEST(Environ, GivesNoFingerprintOfAPassword) {
  const Found found = read("MYSQL_PWD=a-long-but-guessable-password\0"sv);
  ASSERT_EQ(found.env.size(), 1U);
  EXPECT_TRUE(found.env[0].fingerprint.empty());
  EXPECT_EQ(found.env[0].length, 29U);
}

TEST(Environ, TakesThePasswordOutOfAShownAddress) {
  EXPECT_EQ(read("HTTPS_PROXY=http://bob:pass@word@proxy:3128/x@y\0"sv).env.at(0).value, "http://proxy:3128/x@y");
}

TEST(Environ, CutsLongShownValuesAndSaysSo) {
  const Found found = read("AWS_ACCESS_KEY_ID=" + std::string(1000, 'a'));
  ASSERT_EQ(found.env.size(), 1U);
  EXPECT_EQ(found.env[0].value.size(), 256U);
  EXPECT_TRUE(found.env[0].truncated);
}

TEST(Environ, OfAUrlTheAddressLeavesAndItsPasswordIsAKeyOfItsLogin) {
  const Found found = read("DB_URL=postgres://ada:hunter2@db.example/x\0CACHE_URL=redis://cache:7000\0"sv);
  ASSERT_EQ(found.env.size(), 2U);
  EXPECT_EQ(found.env[0].value, "postgres://db.example:5432");
  EXPECT_EQ(found.env[1].value, "redis://cache:7000");
  ASSERT_EQ(found.keys.size(), 1U) << "an address alone is no key";
  const KeyFact& fact = found.keys.front();
  EXPECT_EQ(label_of(fact.key.id), "postgres.password:ada@db.example");
  EXPECT_EQ(fact.key.kind, "postgres.password");
  EXPECT_EQ(fact.key.principal, "ada");
  EXPECT_EQ(fact.variable, "DB_URL");
  EXPECT_EQ(fact.host, "postgres://db.example:5432");
  EXPECT_TRUE(fact.key.fingerprint.empty());
}

TEST(Environ, OfAKeyNoHostLeavesThatIsNoPlainName) {
  for (const std::string_view bytes :
       {"DB_URL=post\x01gres://ada:hunter2@db.example/x\0"sv, "DB_URL=postgres://ada:hunter2@db\x1b[2J.example/x\0"sv,
        "DB_URL=postgres://ada:hunter2@db\xff/x\0"sv}) {
    for (const KeyFact& fact : read(bytes).keys)
      EXPECT_TRUE(fact.host.empty() || is_name(fact.host, 126)) << testing::PrintToString(bytes);
  }
}

TEST(Environ, AUrlThatIsTheKeyKeepsItsFingerprint) {
  const Found found = read("REPORT_DSN=https://0123456789abcdef@o1.ingest.sentry.io/42\0"sv);
  EXPECT_EQ(found.env.at(0).value, "https://o1.ingest.sentry.io:443");
  EXPECT_FALSE(found.env.at(0).fingerprint.empty());
  EXPECT_TRUE(found.keys.empty());
}

TEST(Environ, APasswordHasANumberOfItsVariable) {
  const auto id = [](std::string_view bytes) { return read(bytes).keys.at(0).key.id; };
  const std::string first = id("MYSQL_PWD=first password\0"sv), other = id("MYSQL_PWD=other password\0"sv);
  EXPECT_TRUE(first.starts_with("generic.password:MYSQL_PWD #")) << first;
  EXPECT_NE(first, other);
  EXPECT_EQ(id("MYSQL_PWD=first password\0"sv), first);
}

TEST(Environ, SurvivesNonsense) {
  EXPECT_TRUE(read("=\0==\0\0\0x"sv).env.empty());
  EXPECT_TRUE(read(std::string(100000, '=')).env.empty());
}

}  // namespace
}  // namespace keytrail::examine
