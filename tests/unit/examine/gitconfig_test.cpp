// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

constexpr std::string_view kToken = "ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";

TEST(GitConfig, WithoutAnInlineKeyGivesNone) {
  Bench bench;
  const Found found = bench.parse(
      "gitconfig",
      "# mine\n[user]\n\tname = Ada\n\temail = ada@example.com ; work\n[credential \"https://github.com\"]\n"
      "\thelper = store\n[remote \"origin\"]\n\turl = https://github.com/ada/engine.git\n"
      "\turl = git@github.com:ada/engine.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
      "[url \"ssh://git@github.com/\"]\n\tinsteadOf = https://github.com/\n[alias] x = !echo \"a;b\"\n",
      "github.token");
  EXPECT_TRUE(found.keys.empty());
  EXPECT_EQ(found.unread, role::Unread::kNone);
  EXPECT_EQ(found.skipped, 0U);
}

TEST(GitConfig, GivesTheTokenOfAUrlWithItsHost) {
  Bench bench;
  const std::string text =
      "[remote \"origin\"]\n\turl = https://ada:" + std::string(kToken) + "@github.com/ada/engine.git\n";
  const Found found = bench.parse("gitconfig", text, "github.token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "github.token");
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print(kToken));
  EXPECT_EQ(found.keys[0].selector, "github.com");
  EXPECT_EQ(found.keys[0].host, "github.com");
  EXPECT_EQ(found.keys[0].key.principal, "ada");
}

TEST(GitConfig, TakesTheTokenForTheLoginWhereItStandsThere) {
  Bench bench;
  for (const std::string_view rest : {"", ":x-oauth-basic"}) {
    const std::string text = "[url \"https://" + std::string(kToken) + std::string(rest) +
                             "@github.com/\"]\n insteadOf = https://github.com/\n";
    const Found found = bench.parse("gitconfig", text, "github.token");
    ASSERT_EQ(found.keys.size(), 1U);
    EXPECT_EQ(found.keys[0].key.fingerprint, bench.print(kToken));
    EXPECT_EQ(found.keys[0].key.principal, "");
  }
}

TEST(GitConfig, NumbersAPasswordAndKeepsItsFingerprint) {
  Bench bench;
  bench.other_kind = "git.password";
  const Found found = bench.parse(
      "gitconfig", "[remote \"o\"]\nurl = https://ada:correct%20horse%20battery@git.example:8443/x\n", "github.token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "git.password");
  EXPECT_EQ(label_of(found.keys[0].key.id), "git.password:ada@git.example:8443");
  EXPECT_TRUE(found.keys[0].key.fingerprint.empty());
}

TEST(GitConfig, ReadsTheExtraHeader) {
  Bench bench;
  // x-access-token:ghs_0123456789012345678901234567890123ab
  const Found found = bench.parse("gitconfig",
                                  "[http \"https://github.com/\"]\n\textraheader = \"AUTHORIZATION: basic "
                                  "eC1hY2Nlc3MtdG9rZW46Z2hzXzAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjNhYg==\"\n"
                                  "[http]\n\textraHeader = X-Trace: yes please\n",
                                  "github.token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "github.installation_token");
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print("ghs_0123456789012345678901234567890123ab"));
  EXPECT_EQ(found.keys[0].host, "github.com");
}

TEST(GitConfig, JoinsLinesAndDropsComments) {
  Bench bench;
  const std::string text = "[remote \"origin\"] url = \\\n \"https://ada:" + std::string(kToken) +
                           "@github.com/x\" # https://a:" + std::string(kToken) + "@b/\n";
  const Found found = bench.parse("gitconfig", text, "github.token");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].host, "github.com");
}

TEST(GitConfig, SaysWhenItIsNone) {
  Bench bench;
  EXPECT_EQ(bench.parse("gitconfig", "hello = world\n").unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("gitconfig", std::string_view("[a]\n\0", 5)).unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("gitconfig", "[user\nname = x\n[a]\n").skipped, 1U);
  EXPECT_EQ(bench.parse("gitconfig", "\xEF\xBB\xBF# nothing\n").unread, role::Unread::kNone);
}

}  // namespace
}  // namespace keytrail::examine
