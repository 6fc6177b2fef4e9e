// SPDX-License-Identifier: Apache-2.0
// gcloud's own stores: SQLite databases of one table, by account (googlecloudsdk/core/credentials/store.py and creds.py
// of the Google Cloud SDK). credentials(account_id, value): what `gcloud auth` was given, as JSON like Google's other
// files. access_tokens(account_id, access_token, …, id_token): what was issued for it. Read in memory, never written.
#include <sqlite3.h>

#include <cstring>
#include <memory>

#include "agent/examine/formats.h"

namespace keytrail::examine::format {
namespace {

constexpr std::string_view kMagic{"SQLite format 3\0", 16};
constexpr int kMaxSteps = 200'000;  ///< of SQLite's machine: a database may be made to take for ever

struct Close {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, Close>;
using Statement = std::unique_ptr<sqlite3_stmt, Close>;

Database open(std::span<char> bytes) {
  // A database in WAL mode may be opened without its log when it says that it has none: what was not written back is
  // not seen.
  constexpr std::size_t kWriteVersion = 18, kReadVersion = 19;
  bytes[kWriteVersion] = bytes[kReadVersion] = 1;
  sqlite3* made = nullptr;
  const int opened = sqlite3_open_v2(":memory:", &made, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database db(made);
  if (opened != SQLITE_OK) return nullptr;
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_limit(db.get(), SQLITE_LIMIT_LENGTH, static_cast<int>(role::kMaxFileBytes));
  sqlite3_progress_handler(db.get(), kMaxSteps, [](void*) { return 1; }, nullptr);
  auto* const at = reinterpret_cast<unsigned char*>(bytes.data());
  const auto size = static_cast<sqlite3_int64>(bytes.size());
  if (sqlite3_deserialize(db.get(), "main", at, size, size, SQLITE_DESERIALIZE_READONLY) != SQLITE_OK) return nullptr;
  return db;
}

std::string_view text_at(sqlite3_stmt* row, int column) {
  const auto* const bytes = static_cast<const char*>(sqlite3_column_blob(row, column));
  return bytes == nullptr ? std::string_view()
                          : std::string_view(bytes, static_cast<std::size_t>(sqlite3_column_bytes(row, column)));
}

/// Calls `each` for the rows of a query; false when there is no such table. What cannot be read to its end is counted.
template <typename Each>
bool for_rows(sqlite3* db, const char* sql, Work& work, Each&& each) {
  sqlite3_stmt* made = nullptr;
  if (sqlite3_prepare_v2(db, sql, -1, &made, nullptr) != SQLITE_OK) return false;
  const Statement statement(made);
  int step = sqlite3_step(made);
  for (; step == SQLITE_ROW; step = sqlite3_step(made)) {
    if (work.full()) {
      work.skip();
      return true;
    }
    work.at({.selector = text_at(made, 0)});
    each(made);
  }
  if (step != SQLITE_DONE) work.skip();
  work.at({});
  return true;
}

void add_token(std::string_view kind, std::string_view token, Work& work) {
  if (!trimmed(token).empty())
    work.add(work.fact(kind, KeyClass::kSessionToken, Lifetime::kShortLived), trimmed(token));
}

}  // namespace

role::Unread gcloud_store(std::string_view bytes, Work& work) {
  if (bytes.empty()) return role::Unread::kNone;
  if (!bytes.starts_with(kMagic)) return role::Unread::kUnknownFormat;
  const std::span<char> copy = work.scratch().take(bytes.size());
  if (copy.empty()) return role::Unread::kTooLarge;
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  const Database db = open(copy);
  if (db == nullptr) return role::Unread::kUnknownFormat;
  const bool credentials =
      for_rows(db.get(), "SELECT account_id, value FROM credentials", work, [&](sqlite3_stmt* row) {
        if (google_credentials(text_at(row, 1), work) != role::Unread::kNone) work.skip();
      });
  const bool tokens = for_rows(db.get(), "SELECT account_id, access_token FROM access_tokens", work,
                               [&](sqlite3_stmt* row) { add_token("gcp.access_token", text_at(row, 1), work); });
  (void)for_rows(db.get(), "SELECT account_id, id_token FROM access_tokens", work,
                 [&](sqlite3_stmt* row) { add_token("gcp.id_token", text_at(row, 1), work); });
  const bool begun = for_rows(db.get(), "SELECT 1 FROM sqlite_schema LIMIT 1", work, [](sqlite3_stmt*) {});
  return credentials || tokens || begun ? role::Unread::kNone : role::Unread::kUnknownFormat;
}

}  // namespace keytrail::examine::format
