// SPDX-License-Identifier: Apache-2.0
// Durable cursors of exporters. rows = acknowledged + rejected + expired + waiting: `rows` comes from the total of
// appended rows, the next three are counted where they happen, `waiting` from the sequence.
#include "agent/record/cursors.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/record/store.h"

namespace keytrail::record {
namespace {

static constexpr char kExistsSql[] = "SELECT 1 FROM exporter WHERE name = ?1";
static constexpr char kAddExporterSql[] =
    "INSERT INTO exporter(name, cursor, rows_before, acknowledged, rejected, expired) VALUES(?1, ?2, ?3, 0, 0, 0)";
// Of this connection, so of this run of the agent.
static constexpr char kOpenedSql[] =
    "CREATE TEMP TABLE IF NOT EXISTS opened_exporter(name TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID";
static constexpr char kAddOpenedSql[] = "INSERT INTO opened_exporter(name) VALUES(?1) ON CONFLICT DO NOTHING";
static constexpr char kLeastCursorSql[] =
    "SELECT coalesce(min(cursor), 0) FROM exporter WHERE name IN (SELECT name FROM opened_exporter)";
static constexpr char kCursorSql[] = "SELECT cursor FROM exporter WHERE name = ?1";
static constexpr char kSettleSql[] =
    "UPDATE exporter SET cursor = ?2, acknowledged = acknowledged + ?3, rejected = rejected + ?4 WHERE name = ?1";
static constexpr char kOldestSql[] = "SELECT coalesce(min(seq), 0) FROM rows";
static constexpr char kNewestSql[] = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'rows'), 0)";
static constexpr char kRowsSql[] = "SELECT coalesce((SELECT value FROM totals WHERE name = 'rows'), 0)";
static constexpr char kCountersSql[] =
    "SELECT name, cursor, rows_before, acknowledged, rejected, expired FROM exporter";

bool good_name(const std::string& name) {
  return !name.empty() && name.size() <= 32 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string::npos;
}

}  // namespace

Result<void> Store::open_exporter(const std::string& name, bool from_start) {
  if (!good_name(name)) return fail(Error::Code::kInvalid, "an exporter's name has 1 to 32 of a-z, 0-9, _ and -");
  if (auto r = db_->script(kOpenedSql); !r) return r;
  if (auto r = db_->run(kAddOpenedSql, name); !r) return r;
  auto known = db_->number(kExistsSql, 0, name);
  if (!known) return std::unexpected(known.error());
  if (*known != 0) return {};
  auto done = in_transaction([&]() -> Result<void> {
    auto oldest = db_->number(kOldestSql, 0);
    auto newest = db_->number(kNewestSql, 0);
    auto rows = db_->number(kRowsSql, 0);
    for (const auto* number : {&oldest, &newest, &rows}) {
      if (!*number) return std::unexpected(number->error());
    }
    const std::int64_t cursor = from_start && *oldest != 0 ? *oldest - 1 : *newest;
    return db_->run(kAddExporterSql, name, cursor, *rows - (*newest - cursor));
  });
  if (!done) return std::unexpected(done.error());
  return {};
}

Result<void> Store::settle(const std::string& name, std::uint64_t up_to_seq, std::uint64_t rejected) {
  auto done = in_transaction([&]() -> Result<void> {
    auto cursor = db_->number(kCursorSql, -1, name);
    auto newest = db_->number(kNewestSql, 0);
    if (!cursor) return std::unexpected(cursor.error());
    if (!newest) return std::unexpected(newest.error());
    if (*cursor < 0) return fail(Error::Code::kNotFound, fmt::format("no exporter named {} is registered", name));
    const auto from = static_cast<std::uint64_t>(*cursor);
    if (up_to_seq > static_cast<std::uint64_t>(*newest)) {
      return fail(Error::Code::kInvalid, fmt::format("row {} cannot be settled: the newest is {}", up_to_seq, *newest));
    }
    // Retention may have passed this point meanwhile: those rows count as expired already.
    if (up_to_seq <= from) return {};
    const std::uint64_t passed = up_to_seq - from;
    const std::uint64_t refused = std::min(rejected, passed);
    return db_->run(kSettleSql, name, up_to_seq, passed - refused, refused);
  });
  if (!done) return std::unexpected(done.error());
  return {};
}

Result<std::map<std::string, ExportCounters>> read_export_counters(Database& db) {
  auto newest = db.number(kNewestSql, 0);
  auto rows = db.number(kRowsSql, 0);
  if (!newest) return std::unexpected(newest.error());
  if (!rows) return std::unexpected(rows.error());
  std::map<std::string, ExportCounters> out;
  Cursor cursor = db.query(kCountersSql);
  while (true) {
    auto row = cursor.next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return out;
    ExportCounters& counters = out[cursor.text(0)];
    counters.rows = static_cast<std::uint64_t>(*rows - cursor.integer(2));
    counters.acknowledged = cursor.natural(3);
    counters.rejected = cursor.natural(4);
    counters.expired = cursor.natural(5);
    counters.waiting = static_cast<std::uint64_t>(*newest - cursor.integer(1));
  }
}

Result<std::int64_t> least_cursor(Database& db) {
  if (auto r = db.script(kOpenedSql); !r) return std::unexpected(r.error());
  return db.number(kLeastCursorSql, 0);
}

Result<std::uint64_t> read_cursor(Database& db, const std::string& exporter) {
  auto cursor = db.number(kCursorSql, -1, exporter);
  if (!cursor) return std::unexpected(cursor.error());
  if (*cursor < 0) return fail(Error::Code::kNotFound, fmt::format("no exporter named {} is registered", exporter));
  return static_cast<std::uint64_t>(*cursor);
}

}  // namespace keytrail::record
