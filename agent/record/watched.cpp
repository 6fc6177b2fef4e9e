// SPDX-License-Identifier: Apache-2.0
// Watched time: for each hook family the periods of which everything that was seen is stored. A batch prolongs the last
// one, unless a hole or a step of the clock lies between.
#include <bit>

#include "agent/record/reader.h"
#include "agent/record/store.h"

namespace keytrail::record {
namespace {

constexpr int kMaxSpans = 4'096;  // in all; the oldest go first

// The last of each family, where those lie near each other: mostly all there is to do.
static constexpr char kProlongAllSql[] =
    "UPDATE watched SET to_ns = ?1, to_boot_ns = ?2 WHERE id IN (SELECT max(id) FROM watched WHERE id > (SELECT "
    "max(id) FROM watched) - 64 AND (?3 >> family) & 1 GROUP BY family) AND boot_id = ?4 AND to_boot_ns >= ?5 AND "
    "abs((?1 - to_ns) - (?2 - to_boot_ns)) < ?6";
static constexpr char kProlongSql[] =
    "UPDATE watched SET to_ns = ?1, to_boot_ns = ?2 WHERE id = (SELECT id FROM watched WHERE family = ?3 ORDER BY id "
    "DESC LIMIT 1) AND "
    "boot_id = ?4 AND to_boot_ns >= ?5 AND abs((?1 - to_ns) - (?2 - to_boot_ns)) < ?6";
static constexpr char kBeginSql[] =
    "INSERT INTO watched(family, from_ns, to_ns, boot_id, to_boot_ns) VALUES(?1, ?2, ?3, ?4, ?5)";
static constexpr char kSpansSql[] = "SELECT family, from_ns, to_ns FROM watched ORDER BY family, from_ns";
static constexpr char kSettledSql[] =
    "SELECT coalesce(max(to_boot_ns), 0), coalesce(max(to_ns), 0) FROM watched WHERE boot_id = ?1";
// A row of a clock that went wrong must not spoil what comes: it was removed now at the latest.
static constexpr char kKeptSinceSql[] =
    "INSERT INTO totals(name, value) SELECT 'kept_since_ns', min(?1, coalesce(max(max(time_ns, last_ns)), 0) + 1) "
    "FROM rows WHERE seq <= ?2 ON CONFLICT DO UPDATE SET value = max(value, excluded.value)";
static constexpr char kAgedSpansSql[] =
    "DELETE FROM watched WHERE to_ns < (SELECT value FROM totals WHERE name = 'kept_since_ns') AND id NOT IN (SELECT "
    "max(id) FROM watched GROUP BY family)";
static constexpr char kSurplusSpansSql[] =
    "DELETE FROM watched WHERE id <= (SELECT id FROM watched ORDER BY id DESC LIMIT 1 OFFSET ?1)";

}  // namespace

Result<void> Store::note_watched(const Watched& watched) {
  if (auto r = db_->run(kProlongAllSql, watched.to_ns, watched.to_boot_ns, watched.families, options_.boot_id,
                        watched.from_boot_ns, kClockStepNs);
      !r)
    return r;
  if (sqlite3_changes(db_->handle()) == std::popcount(watched.families)) return {};
  for (std::size_t family = 0; family < kFamilies; ++family) {
    if ((watched.families >> family & 1U) == 0) continue;
    if (auto r = db_->run(kProlongSql, watched.to_ns, watched.to_boot_ns, family, options_.boot_id,
                          watched.from_boot_ns, kClockStepNs);
        !r)
      return r;
    if (sqlite3_changes(db_->handle()) != 0) continue;
    if (auto r = db_->run(kBeginSql, family, watched.from_ns, watched.to_ns, options_.boot_id, watched.to_boot_ns); !r)
      return r;
  }
  return {};
}

/// The rows up to `last_seq` are about to be removed: what happened before their end is not whole any more.
Result<void> Store::note_removed(std::uint64_t last_seq) { return db_->run(kKeptSinceSql, now_ns_, last_seq); }

Result<void> Store::limit_watched() {
  if (auto r = db_->run(kAgedSpansSql); !r) return r;
  return db_->run(kSurplusSpansSql, kMaxSpans);
}

Result<std::vector<WatchedSpan>> Reader::watched() {
  return reading<std::vector<WatchedSpan>>([this]() -> Result<std::vector<WatchedSpan>> {
    std::vector<WatchedSpan> out;
    Cursor cursor = db_->query(kSpansSql);
    while (true) {
      auto more = cursor.next();
      if (!more) return std::unexpected(more.error());
      if (!*more) return out;
      out.push_back({static_cast<Family>(cursor.integer(0)), cursor.integer(1), cursor.integer(2)});
    }
  });
}

Result<Settled> Reader::settled(const std::string& boot_id) {
  return reading<Settled>([&]() -> Result<Settled> {
    Cursor cursor = db_->query(kSettledSql, boot_id);
    auto more = cursor.next();
    if (!more) return std::unexpected(more.error());
    return Settled{cursor.natural(0), cursor.integer(1)};
  });
}

}  // namespace keytrail::record
