// SPDX-License-Identifier: Apache-2.0
// gcloud's stores, made by SQLite itself as gcloud makes them; and databases that are none, or hostile.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "tests/unit/examine/fixture.h"

namespace keytrail::examine {
namespace {

/// The file that these statements make.
std::string database(const std::string& sql) {
  sqlite3* db = nullptr;
  EXPECT_EQ(sqlite3_open(":memory:", &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_int64 size = 0;
  unsigned char* const bytes = sqlite3_serialize(db, "main", &size, 0);
  std::string out(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  sqlite3_free(bytes);
  sqlite3_close(db);
  return out;
}

const std::string kCredentials = "CREATE TABLE credentials (account_id TEXT PRIMARY KEY, value BLOB);";
const std::string kUser = R"({"type": "authorized_user", "client_id": "i", "refresh_token": "1//0abcdefghijklmnop"})";

TEST(GcloudStore, EachAccountIsAnEntryWithTheKeyThatItLoggedInWith) {
  Bench bench;
  const std::string bytes = database(kCredentials + "INSERT INTO credentials VALUES('ada@example.com', '" + kUser +
                                     R"('), ('bot@p.iam.gserviceaccount.com', '{"type": "service_account",
          "private_key_id": "0123456789abcdef0123456789abcdef01234567",
          "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEabc\n-----END PRIVATE KEY-----\n",
          "client_email": "bot@p.iam.gserviceaccount.com"}');)");
  const Found found = bench.parse("gcloud_store", bytes, "gcp.authorized_user");
  ASSERT_EQ(found.keys.size(), 2U);
  EXPECT_EQ(found.unread, role::Unread::kNone);
  EXPECT_EQ(found.keys[0].selector, "ada@example.com");
  EXPECT_EQ(found.keys[0].key.kind, "gcp.authorized_user");
  EXPECT_EQ(found.keys[0].key.id, bench.print("1//0abcdefghijklmnop").text());
  EXPECT_EQ(found.keys[1].selector, "bot@p.iam.gserviceaccount.com");
  EXPECT_EQ(found.keys[1].key.id, "0123456789abcdef0123456789abcdef01234567");
}

TEST(GcloudStore, TokensThatWereIssuedAreSessions) {
  Bench bench;
  const Found found = bench.parse(
      "gcloud_store",
      database("CREATE TABLE access_tokens (account_id TEXT PRIMARY KEY, access_token TEXT, token_expiry TIMESTAMP, "
               "rapt_token TEXT, id_token TEXT); INSERT INTO access_tokens VALUES('ada@example.com', "
               "'ya29.a0AfH6SMBabcdefghijklmnopqrstuvwxyz', NULL, NULL, NULL);"),
      "gcp.authorized_user");
  ASSERT_EQ(found.keys.size(), 1U);
  EXPECT_EQ(found.keys[0].key.kind, "gcp.access_token");
  EXPECT_EQ(found.keys[0].key.lifetime, Lifetime::kShortLived);
}

TEST(GcloudStore, AWriteAheadLogIsNotNeeded) {
  Bench bench;
  std::string bytes = database(kCredentials + "INSERT INTO credentials VALUES('a@b.c', '" + kUser + "');");
  bytes[18] = bytes[19] = 2;
  EXPECT_EQ(bench.parse("gcloud_store", bytes).keys.size(), 1U);
}

TEST(GcloudStore, AnEmptyStoreHoldsNoKeyAndOtherFilesAreNone) {
  Bench bench;
  EXPECT_EQ(bench.parse("gcloud_store", database(kCredentials)).unread, role::Unread::kNone);
  EXPECT_EQ(bench.parse("gcloud_store", "").unread, role::Unread::kNone);
  EXPECT_EQ(bench.parse("gcloud_store", "[core]\naccount = a@b.c\n").unread, role::Unread::kUnknownFormat);
  EXPECT_EQ(bench.parse("gcloud_store", database("CREATE TABLE other (a);")).unread, role::Unread::kNone);
}

TEST(GcloudStore, EveryCutIsCountedOrRefused) {
  Bench bench;
  const std::string whole = database(kCredentials + "INSERT INTO credentials VALUES('a@b.c', '" + kUser + "');");
  for (std::size_t n = 1; n < whole.size(); n += 97) {
    const Found found = bench.parse("gcloud_store", whole.substr(0, n));
    EXPECT_TRUE(found.unread != role::Unread::kNone || found.skipped > 0 || found.keys.empty() ||
                found.keys.size() == 1U);
  }
}

TEST(GcloudStore, AViewThatNeverEndsIsGivenUp) {
  Bench bench;
  const Found found =
      bench.parse("gcloud_store",
                  database("CREATE VIEW credentials AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
                           "n) SELECT i AS account_id, '{}' AS value FROM n WHERE i < 0;"));
  EXPECT_GT(found.skipped, 0U);
  EXPECT_TRUE(found.keys.empty());
}

}  // namespace
}  // namespace keytrail::examine
