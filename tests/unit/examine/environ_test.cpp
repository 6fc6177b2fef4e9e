// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>

#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

using namespace std::string_view_literals;

constexpr std::array<catalog::EnvName, 7> kNames{{
    {.name = "_TOKEN", .action = catalog::EnvAction::kSecret, .suffix = true},
    {.name = "SHOWN_TOKEN", .action = catalog::EnvAction::kShow},
    {.name = "MYSQL_PWD", .action = catalog::EnvAction::kSecret, .unhashed = true},
    {"AWS_ACCESS_KEY_ID", catalog::EnvAction::kShow},
    {"AWS_SECRET_ACCESS_KEY", catalog::EnvAction::kSecret},
    {"TF_TOKEN_", catalog::EnvAction::kSecret, true},
    {"HTTPS_PROXY", catalog::EnvAction::kShow},
}};

Found read(std::string_view bytes) {
  static ExaminerState state{.key = {7}, .env = kNames};
  Found found;
  parse_environment(bytes, state, found);
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

TEST(Environ, SurvivesNonsense) {
  EXPECT_TRUE(read("=\0==\0\0\0x"sv).env.empty());
  EXPECT_TRUE(read(std::string(100000, '=')).env.empty());
}

}  // namespace
}  // namespace keytrail::examine
