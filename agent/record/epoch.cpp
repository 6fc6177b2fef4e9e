// SPDX-License-Identifier: Apache-2.0
#include "agent/record/epoch.h"

#include <sys/random.h>

#include <cstdint>

namespace keytrail::record {
namespace {

static constexpr char kNextSql[] = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'rows'), 0) + 1";
static constexpr char kNoRowsSql[] = "DELETE FROM epoch WHERE first_seq >= ?1";
static constexpr char kBeginSql[] = "INSERT INTO epoch(first_seq, id) VALUES(?1, ?2)";
static constexpr char kRowsGoneSql[] =
    "DELETE FROM epoch WHERE first_seq < (SELECT max(first_seq) FROM epoch WHERE first_seq <= coalesce((SELECT "
    "min(seq) FROM rows), ?1))";
static constexpr char kEpochsSql[] = "SELECT first_seq, id FROM epoch ORDER BY first_seq";

Result<void> begin(Database& db) {
  std::uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random))
    return fail(Error::Code::kSystem, "getrandom failed: no id for this opening of the history");
  const auto id = static_cast<std::int64_t>(random >> 1U | 1U);  // 0 is that of rows of before there were epochs
  auto transaction = Transaction::begin(db, true);
  if (!transaction) return std::unexpected(transaction.error());
  auto next = db.number(kNextSql, 1);
  if (!next) return std::unexpected(next.error());
  // Those that began here lost their rows, or had none.
  if (auto r = db.run(kNoRowsSql, *next); !r) return r;
  if (auto r = db.run(kBeginSql, *next, id); !r) return r;
  if (auto r = db.run(kRowsGoneSql, *next); !r) return r;
  return transaction->commit();
}

}  // namespace

Result<std::vector<RowEpoch>> begin_epoch(Database& db) {
  if (auto r = db.script("PRAGMA synchronous = FULL"); !r) return std::unexpected(r.error());
  const auto begun = begin(db);
  if (auto r = db.script("PRAGMA synchronous = NORMAL"); !r) return std::unexpected(r.error());
  if (!begun && !is_no_room(begun.error())) return std::unexpected(begun.error());
  std::vector<RowEpoch> out;
  Cursor cursor = db.query(kEpochsSql);
  while (true) {
    auto more = cursor.next();
    if (!more) return std::unexpected(more.error());
    if (!*more) return out;
    out.push_back({cursor.natural(0), cursor.natural(1)});
  }
}

}  // namespace keytrail::record
