// SPDX-License-Identifier: Apache-2.0
#include "agent/record/schema.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>

#include "agent/record/columns.h"
#include "agent/record/migrate.h"

namespace keytrail::record {
namespace {

static constexpr char kTablesSql[] = "SELECT count(*) FROM sqlite_schema";
static constexpr char kVersionSql[] = "PRAGMA user_version";
static constexpr char kApplicationSql[] = "PRAGMA application_id";
static constexpr char kInsertMetaSql[] = "INSERT INTO meta(name, value) VALUES(?1, ?2)";
static constexpr char kHistoryIdSql[] = "SELECT value FROM meta WHERE name = 'history_id'";

Result<void> check_origin(Database& db, const std::string& path, std::int64_t version) {
  auto application = db.number(kApplicationSql, 0);
  auto tables = db.number(kTablesSql, 0);
  if (!application) return std::unexpected(application.error());
  if (!tables) return std::unexpected(tables.error());
  if (*application != kApplicationId && (*application != 0 || *tables != 0 || version != 0)) {
    return fail(Error::Code::kInvalid,
                fmt::format("{} is not a history of Keytrail: name another path or move this file away", path));
  }
  if (version > kSchemaVersion) {
    return fail(Error::Code::kInvalid, fmt::format("{} is a history of a newer version (format {}, this program knows "
                                                   "{}): install that version again, or move "
                                                   "the file away to begin a new history",
                                                   path, version, kSchemaVersion));
  }
  return {};
}

Result<void> begin_history(Database& db, const Clock& clock) {
  std::array<std::uint8_t, 16> id{};
  if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    return fail(Error::Code::kSystem, "getrandom failed: no id for the new history");
  }
  if (auto r = db.run(kInsertMetaSql, "history_id", std::span<const std::uint8_t>(id)); !r) return r;
  return db.run(kInsertMetaSql, "created_ns", clock.wall_ns());
}

/// All steps in one transaction: killed or out of room, the file is as it was.
Result<void> bring_up(Database& db, std::int64_t version, const Clock& clock) {
  auto transaction = Transaction::begin(db, true);
  if (!transaction) return std::unexpected(transaction.error());
  for (const Migration& step : migrations()) {
    if (step.to <= version) continue;
    if (auto r = db.script(step.sql); !r) return r;
  }
  if (version == 0) {
    if (auto r = begin_history(db, clock); !r) return r;
  }
  if (auto r = complete_tables(db); !r) return r;
  if (version == kSchemaVersion) return transaction->commit();
  // PRAGMA takes no bound value; both numbers are our own constants.
  const std::string numbers =
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, kSchemaVersion);
  if (auto r = db.script(numbers.c_str()); !r) return r;
  return transaction->commit();
}

}  // namespace

Result<void> check_schema(Database& db, const std::string& path) {
  auto version = db.number(kVersionSql, 0);
  if (!version) return std::unexpected(version.error());
  return check_origin(db, path, *version);
}

Result<void> prepare_schema(Database& db, const std::string& path, const Clock& clock) {
  auto version = db.number(kVersionSql, 0);
  if (!version) return std::unexpected(version.error());
  if (auto r = check_origin(db, path, *version); !r) return r;
  auto done = bring_up(db, *version, clock);
  if (!done && *version != 0) {
    return fail(done.error().code, fmt::format("{} could not be brought from format {} to {} and stays as it was: {}",
                                               path, *version, kSchemaVersion, done.error().message));
  }
  return done;
}

Result<std::array<std::uint8_t, 16>> read_history_id(Database& db) {
  std::array<std::uint8_t, 16> id{};
  Cursor cursor = db.query(kHistoryIdSql);
  auto row = cursor.next();
  if (!row) return std::unexpected(row.error());
  if (!*row || cursor.bytes(0).size() != id.size()) return std::unexpected(damage_error("it has no id"));
  std::copy_n(cursor.bytes(0).begin(), id.size(), id.begin());
  return id;
}

}  // namespace keytrail::record
