// SPDX-License-Identifier: Apache-2.0
#include "agent/record/eviction.h"

#include <fmt/format.h>

#include "agent/record/options.h"
#include "agent/record/sql_numbers.h"

namespace keytrail::record {
namespace {

constexpr std::int64_t kToldEveryNs = 60 * kSecond;

static constexpr char kPeriodSql[] =
    "SELECT count(*), coalesce(min(time_ns), 0), coalesce(max(max(time_ns, last_ns)), 0) FROM rows WHERE seq <= ?1";
static constexpr char kTotalSql[] = "SELECT coalesce((SELECT value FROM totals WHERE name = ?1), 0)";
static constexpr char kSetSql[] =
    "INSERT INTO totals(name, value) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
static constexpr char kAddSql[] =
    "INSERT INTO totals(name, value) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = value + excluded.value";
static constexpr char kLeastSql[] =
    "INSERT INTO totals(name, value) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = min(value, excluded.value)";
static constexpr char kMostSql[] =
    "INSERT INTO totals(name, value) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)";

constexpr char kUntold[] = "evicted_untold";
constexpr char kFrom[] = "evicted_from_ns";
constexpr char kTo[] = "evicted_to_ns";
constexpr char kToldAt[] = "evicted_told_ns";

}  // namespace

Result<Evicted> evicted_by(Database& db, std::uint64_t last_seq) {
  Cursor cursor = db.query(kPeriodSql, last_seq);
  auto row = cursor.next();
  if (!row) return std::unexpected(row.error());
  return Evicted{cursor.natural(0), cursor.integer(1), cursor.integer(2)};
}

Result<void> note_evicted(Database& db, const Evicted& evicted) {
  if (evicted.rows == 0) return {};
  if (auto r = db.run(kAddSql, kUntold, evicted.rows); !r) return r;
  if (auto r = db.run(kLeastSql, kFrom, evicted.from_ns); !r) return r;
  return db.run(kMostSql, kTo, evicted.to_ns);
}

Result<bool> has_untold(Database& db) {
  auto untold = db.number(kTotalSql, 0, kUntold);
  if (!untold) return std::unexpected(untold.error());
  return *untold != 0;
}

Result<std::optional<GapRow>> due_gap(Database& db, std::int64_t now_ns) {
  auto untold = db.number(kTotalSql, 0, kUntold);
  auto told = db.number(kTotalSql, 0, kToldAt);
  auto from = db.number(kTotalSql, 0, kFrom);
  auto to = db.number(kTotalSql, 0, kTo);
  for (const auto* number : {&untold, &told, &from, &to}) {
    if (!*number) return std::unexpected(number->error());
  }
  // A clock that was set back tells at once rather than late.
  if (*untold == 0 || (now_ns >= *told && now_ns - *told < kToldEveryNs)) return std::nullopt;
  if (auto r = db.run(kSetSql, kUntold, 0); !r) return std::unexpected(r.error());
  if (auto r = db.run(kSetSql, kToldAt, now_ns); !r) return std::unexpected(r.error());
  GapRow gap;
  gap.cause = "evicted";
  gap.from_ns = *from;
  gap.to_ns = *to;
  gap.lost = static_cast<std::uint64_t>(*untold);
  gap.text =
      fmt::format("{} rows were removed before their time because the history has reached its size bound", *untold);
  return gap;
}

}  // namespace keytrail::record
