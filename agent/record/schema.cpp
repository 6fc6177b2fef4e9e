// SPDX-License-Identifier: Apache-2.0
#include "agent/record/schema.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>

namespace keytrail::record {
namespace {

// Facts are in `rows` alone, without a secondary index (five cost a factor 20). Repeated strings are in dictionaries, whose rows say the
// sequence near which they were last used (`used_seq`), so that retention can drop them. All columns are NOT NULL; 0 and '' mean "none".
static constexpr char kSchema1[] = R"sql(
CREATE TABLE meta(name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE totals(name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE state(name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE workload(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind INTEGER NOT NULL, known_by INTEGER NOT NULL, container_id TEXT NOT NULL,
  pod_uid TEXT NOT NULL, unit TEXT NOT NULL, user TEXT NOT NULL, login_user TEXT NOT NULL, cgroup TEXT NOT NULL, used_seq INTEGER NOT NULL,
  UNIQUE(name, kind, known_by, container_id, pod_uid, unit, user, login_user, cgroup));
CREATE TABLE program(
  id INTEGER PRIMARY KEY, exe TEXT NOT NULL, program TEXT NOT NULL, comm TEXT NOT NULL, used_seq INTEGER NOT NULL,
  UNIQUE(exe, program, comm));
CREATE TABLE key(
  id INTEGER PRIMARY KEY, key_id TEXT NOT NULL, kind TEXT NOT NULL, class INTEGER NOT NULL, lifetime INTEGER NOT NULL,
  fingerprint TEXT NOT NULL, principal TEXT NOT NULL, parent TEXT NOT NULL, issued_s INTEGER NOT NULL, expires_s INTEGER NOT NULL,
  used_seq INTEGER NOT NULL,
  UNIQUE(key_id, kind, class, lifetime, fingerprint, principal, parent, issued_s, expires_s));
CREATE INDEX key_parent ON key(parent);
CREATE TABLE slot(
  id INTEGER PRIMARY KEY, origin INTEGER NOT NULL, place TEXT NOT NULL, selector TEXT NOT NULL, used_seq INTEGER NOT NULL,
  UNIQUE(origin, place, selector));
CREATE TABLE destination(
  id INTEGER PRIMARY KEY, provider TEXT NOT NULL, service TEXT NOT NULL, region TEXT NOT NULL, host TEXT NOT NULL, address TEXT NOT NULL,
  port INTEGER NOT NULL, action TEXT NOT NULL, name_source INTEGER NOT NULL, ambiguous INTEGER NOT NULL, used_seq INTEGER NOT NULL,
  UNIQUE(host, address, port, action, provider, service, region, name_source, ambiguous));
CREATE TABLE keyset(id INTEGER PRIMARY KEY, members TEXT NOT NULL UNIQUE, used_seq INTEGER NOT NULL);
CREATE TABLE candidate(
  keyset INTEGER NOT NULL, position INTEGER NOT NULL, key INTEGER NOT NULL, slot INTEGER NOT NULL, reason INTEGER NOT NULL,
  PRIMARY KEY(keyset, position)) WITHOUT ROWID;
CREATE TABLE rows(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, time_ns INTEGER NOT NULL, observed_ns INTEGER NOT NULL,
  first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, workload INTEGER NOT NULL, program INTEGER NOT NULL, keyset INTEGER NOT NULL,
  destination INTEGER NOT NULL, edge INTEGER NOT NULL, pid INTEGER NOT NULL, start_ns INTEGER NOT NULL, exec INTEGER NOT NULL,
  uid INTEGER NOT NULL, outcome INTEGER NOT NULL, evidence INTEGER NOT NULL, reason INTEGER NOT NULL,
  amount INTEGER NOT NULL,     -- use: connections; gap: lost or -1; revision: of_seq
  requests INTEGER NOT NULL,   -- use: -1 = not seen
  bytes_sent INTEGER NOT NULL, bytes_received INTEGER NOT NULL,
  flags INTEGER NOT NULL,      -- acquisition: 1 bulk, 2 baseline; finding: severity
  label TEXT NOT NULL,         -- acquisition: unread; use: reason_detail; finding: type; gap: cause; revision: what
  note TEXT NOT NULL,          -- use: via; finding, gap: text; revision: value
  subject TEXT NOT NULL,       -- finding: subject; gap: family
  tags TEXT NOT NULL);         -- finding: ATT&CK ids, separated by spaces
CREATE TABLE edge(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  id_workload INTEGER NOT NULL, id_program INTEGER NOT NULL, id_keyset INTEGER NOT NULL, id_destination INTEGER NOT NULL,
  outcome INTEGER NOT NULL, evidence INTEGER NOT NULL, reason INTEGER NOT NULL,
  workload INTEGER NOT NULL, program INTEGER NOT NULL, keyset INTEGER NOT NULL, destination INTEGER NOT NULL,
  pid INTEGER NOT NULL, start_ns INTEGER NOT NULL, exec INTEGER NOT NULL, uid INTEGER NOT NULL, detail TEXT NOT NULL, via TEXT NOT NULL,
  first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, connections INTEGER NOT NULL, requests INTEGER NOT NULL,
  bytes_sent INTEGER NOT NULL, bytes_received INTEGER NOT NULL,
  pending_first_ns INTEGER NOT NULL, pending_last_ns INTEGER NOT NULL, pending_connections INTEGER NOT NULL,
  pending_requests INTEGER NOT NULL, pending_bytes_sent INTEGER NOT NULL, pending_bytes_received INTEGER NOT NULL,
  level INTEGER NOT NULL, window_end_ns INTEGER NOT NULL, last_seq INTEGER NOT NULL, instances BLOB NOT NULL, truncated INTEGER NOT NULL,
  UNIQUE(id_workload, id_program, id_keyset, id_destination, outcome, evidence, reason));
CREATE TABLE holding(
  pid INTEGER NOT NULL, start_ns INTEGER NOT NULL, exec INTEGER NOT NULL, id_key INTEGER NOT NULL, slot INTEGER NOT NULL,
  key INTEGER NOT NULL, workload INTEGER NOT NULL, program INTEGER NOT NULL, uid INTEGER NOT NULL, since_ns INTEGER NOT NULL,
  last_use_ns INTEGER NOT NULL, how TEXT NOT NULL, slot_changed INTEGER NOT NULL, boot_id TEXT NOT NULL,
  PRIMARY KEY(pid, start_ns, exec, id_key, slot)) WITHOUT ROWID;
CREATE TABLE sighting(
  id_key INTEGER NOT NULL, slot INTEGER NOT NULL, id_workload INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
  PRIMARY KEY(id_key, slot, id_workload)) WITHOUT ROWID;
CREATE TABLE finding(
  type TEXT NOT NULL, subject TEXT NOT NULL, workload INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
  count INTEGER NOT NULL, last_seq INTEGER NOT NULL, state TEXT NOT NULL,
  PRIMARY KEY(type, subject)) WITHOUT ROWID;
CREATE TABLE exporter(
  name TEXT PRIMARY KEY NOT NULL, cursor INTEGER NOT NULL, rows_before INTEGER NOT NULL, acknowledged INTEGER NOT NULL,
  rejected INTEGER NOT NULL, expired INTEGER NOT NULL) WITHOUT ROWID;
)sql";

/// Step n brings a file from version n to n + 1.
constexpr const char* kMigrations[] = {kSchema1};
static_assert(std::size(kMigrations) == kSchemaVersion);

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
    return fail(Error::Code::kInvalid, fmt::format("{} is not a history of Keytrail: name another path or move this file away", path));
  }
  if (version > kSchemaVersion) {
    return fail(Error::Code::kInvalid,
                fmt::format("{} is a history of a newer version (format {}, this program knows {}): install that version again, or move "
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
  if (*version == kSchemaVersion) return {};
  auto transaction = Transaction::begin(db, true);
  if (!transaction) return std::unexpected(transaction.error());
  for (std::int64_t step = *version; step < kSchemaVersion; ++step) {
    if (auto r = db.script(kMigrations[step]); !r) return r;
  }
  if (*version == 0) {
    if (auto r = begin_history(db, clock); !r) return r;
  }
  // PRAGMA takes no bound value; both numbers are our own constants.
  const std::string numbers = fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, kSchemaVersion);
  if (auto r = db.script(numbers.c_str()); !r) return r;
  return transaction->commit();
}

Result<std::array<std::uint8_t, 16>> read_history_id(Database& db) {
  std::array<std::uint8_t, 16> id{};
  Cursor cursor = db.query(kHistoryIdSql);
  auto row = cursor.next();
  if (!row) return std::unexpected(row.error());
  if (!*row || cursor.bytes(0).size() != id.size()) return fail(Error::Code::kInvalid, "the history is damaged: it has no id");
  std::copy_n(cursor.bytes(0).begin(), id.size(), id.begin());
  return id;
}

}  // namespace keytrail::record
