// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

constexpr std::string_view kServiceAccount =
    R"({"type": "service_account", "project_id": "p", "private_key_id": "0123456789abcdef0123456789abcdef01234567",
        "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEabc\n-----END PRIVATE KEY-----\n",
        "client_email": "bot@p.iam.gserviceaccount.com"})";

TEST(GoogleCredentials, AServiceAccountsKeyHasItsPublicId) {
  Bench bench;
  const Found found = bench.parse("google_credentials", kServiceAccount, "gcp.authorized_user");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.id, "0123456789abcdef0123456789abcdef01234567");
  EXPECT_EQ(found.keys[0].key.kind, "gcp.service_account_key");
  EXPECT_EQ(found.keys[0].key.principal, "bot@p.iam.gserviceaccount.com");
  EXPECT_EQ(found.keys[0].key.fingerprint,
            bench.print("-----BEGIN PRIVATE KEY-----\nMIIEabc\n-----END PRIVATE KEY-----"));
  EXPECT_FALSE(found.keys[0].untold);
}

TEST(GoogleCredentials, AUsersRefreshTokenHasAFingerprint) {
  Bench bench;
  const Found found =
      bench.parse("google_credentials",
                  R"({"type": "authorized_user", "client_id": "764.apps", "client_secret": "d-FL95Q19q7MQmFpd7hHD0Ty",
                                      "refresh_token": "1//0abcdefghijklmnop", "account": "ada@example.com"})",
                  "gcp.authorized_user");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "gcp.authorized_user");
  EXPECT_EQ(found.keys[0].key.id, bench.print("1//0abcdefghijklmnop").text());
  EXPECT_EQ(found.keys[0].key.principal, "ada@example.com");
}

TEST(GoogleCredentials, ImpersonationHoldsItsSource) {
  Bench bench;
  const Found found =
      bench.parse("google_credentials",
                  R"({"type": "impersonated_service_account", "service_account_impersonation_url": "https://x",
                                      "source_credentials": {"type": "authorized_user", "client_id": "i",
                                      "refresh_token": "1//0abcdefghijklmnop"}})");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "gcp.authorized_user");
}

TEST(GoogleCredentials, AFederationFileHoldsNoKey) {
  Bench bench;
  const Found found = bench.parse(
      "google_credentials",
      R"({"type": "external_account", "audience": "//iam", "credential_source": {"file": "/var/run/secrets/token"}})");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].path + found.keys[0].key.id, "/var/run/secrets/token");
  EXPECT_EQ(found.unread, role::Unread::kNone);
  EXPECT_EQ(found.skipped, 0U);
  EXPECT_TRUE(bench.parse("google_credentials", R"({"name": "some-other-file"})").keys.empty());
}

TEST(GoogleCredentials, AnOauthClientIsItsSecret) {
  Bench bench;
  const Found found = bench.parse(
      "google_credentials", R"({"installed": {"client_id": "7.apps", "client_secret": "GOCSPX-0123456789abcdef"}})");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "gcp.oauth_client_secret");
}

TEST(GoogleCredentials, BadFilesAreCounted) {
  Bench bench;
  EXPECT_EQ(bench.parse("google_credentials", R"({"type": "service_account", "private_key_id": "a"})").skipped, 1U);
  EXPECT_EQ(bench.parse("google_credentials", R"({"type": "service_account", "private_key": 5})").skipped, 1U);
  EXPECT_EQ(bench.parse("google_credentials", R"({"type": "authorized_user"})").skipped, 1U);
  const Found nested = bench.parse("google_credentials", R"({"type": "impersonated_service_account",
      "source_credentials": {"type": "impersonated_service_account", "source_credentials": {}}})");
  EXPECT_EQ(nested.skipped, 1U);
  EXPECT_EQ(bench.parse("google_credentials", "{\"type\": \"service_account\"").unread, role::Unread::kUnknownFormat);
}

}  // namespace
}  // namespace keytrail::examine
