// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

constexpr std::string_view kFile =
    "# a comment\n"
    "[default]\n"
    "aws_access_key_id = AKIAAAAAAAAAAAAAAAAA\n"
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEAAA\n"
    "\n"
    "[prod]\r\n"
    "AWS_ACCESS_KEY_ID=AKIABBBBBBBBBBBBBBBB\r\n"
    "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEBBB ; mine\r\n"
    "[session]\n"
    "aws_access_key_id: ASIACCCCCCCCCCCCCCCC\n"
    "aws_secret_access_key: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLECCC\n"
    "aws_session_token: IQoJb3JpZ2luX2VjEXAMPLE==\n";

TEST(AwsCredentials, GivesOneKeyForEachProfile) {
  Bench bench;
  const Found found = bench.parse("aws_credentials", kFile, "aws.access_key");
  ASSERT_EQ(found.keys.size(), 3U);
  EXPECT_EQ(found.unread, role::Unread::kNone);
  EXPECT_EQ(found.keys[0].selector, "default");
  EXPECT_EQ(found.keys[1].selector, "prod");
  EXPECT_EQ(found.keys[1].key.id, "AKIABBBBBBBBBBBBBBBB");
  EXPECT_EQ(found.keys[1].key.kind, "aws.access_key");
  EXPECT_EQ(found.keys[1].key.fingerprint, bench.print("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEBBB"));
  EXPECT_EQ(found.keys[1].selector_hash, bench.print("prod"));
  EXPECT_EQ(found.skipped, 0U);
}

TEST(AwsCredentials, TellsSessionKeysApart) {
  Bench bench;
  const Found found = bench.parse("aws_credentials", kFile, "aws.access_key");
  EXPECT_EQ(found.keys.at(2).key.kind, "aws.session");
  EXPECT_EQ(found.keys.at(2).key.key_class, KeyClass::kSessionToken);
  EXPECT_EQ(found.keys.at(2).key.lifetime, Lifetime::kShortLived);
}

TEST(AwsCredentials, ReadsTheProfileFormOfTheConfigFile) {
  Bench bench;
  const Found found = bench.parse(
      "aws_credentials",
      "[profile \"my dev\"]\nregion = eu-west-1\ns3 =\n  max_concurrent_requests = 20\n"
      "aws_access_key_id = AKIAAAAAAAAAAAAAAAAA\naws_secret_access_key = abcdefghijklmnopqrstuvwxyz\n"
      "[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = dev\n"
      "[profile process]\ncredential_process = /opt/bin/tool --secret x\n[sso-session corp]\nsso_region = x\n");
  ASSERT_EQ(found.keys.size(), 3U);
  EXPECT_EQ(found.keys[2].key.id, "") << "a helper's key is in no file";
  EXPECT_EQ(found.keys[2].selector, "process");
  EXPECT_EQ(found.keys[2].key.parent, "credential_process");
  EXPECT_EQ(found.keys[0].selector, "my dev");
  // A role has no key of its own: which entry's key it is assumed with.
  EXPECT_EQ(found.keys[1].key.id, "");
  EXPECT_EQ(found.keys[1].selector, "role");
  EXPECT_EQ(found.keys[1].key.parent, "dev");
  EXPECT_EQ(found.skipped, 0U);
}

TEST(AwsCredentials, IgnoresIndentedContinuationsAsBotocoreDoes) {
  Bench bench;
  const Found found = bench.parse(
      "aws_credentials",
      "[a]\ns3 =\n   aws_secret_access_key = nested-nested-nested\naws_access_key_id = AKIAAAAAAAAAAAAAAAAA\n"
      "aws_secret_access_key = outer-outer-outer-outer\n");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.fingerprint, bench.print("outer-outer-outer-outer"));
}

TEST(AwsCredentials, CountsAnIdWithoutItsSecret) {
  Bench bench;
  const Found found = bench.parse("aws_credentials", "[a]\naws_access_key_id = AKIAAAAAAAAAAAAAAAAA\n");
  EXPECT_TRUE(found.keys.empty());
  EXPECT_EQ(found.skipped, 1U);
}

TEST(AwsCredentials, NeverTakesASecretForAnId) {
  Bench bench;
  const Found found = bench.parse(
      "aws_credentials",
      "[a]\naws_access_key_id = wJalrXUtnFEMI/K7MDENG/bPxRfi\naws_secret_access_key = AKIAAAAAAAAAAAAAAAAA\n");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_TRUE(found.keys[0].key.id.starts_with("fp:")) << found.keys[0].key.id;
}

TEST(AwsCredentials, SaysWhenItIsNoIniFile) {
  Bench bench;
  EXPECT_EQ(bench.parse("aws_credentials", "hello\nworld\n").unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("aws_credentials", " \n").unread, role::Unread::kNone);
}

}  // namespace
}  // namespace keytrail::examine
