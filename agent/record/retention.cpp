// SPDX-License-Identifier: Apache-2.0
// Bounds: by age, by size, and getting out of a full disk. Chunks are small so that batches pass between them; pages are reused, never
// given back (no VACUUM).
#include <fmt/format.h>

#include <algorithm>

#include "agent/record/store.h"

namespace keytrail::record {
namespace {

constexpr std::uint64_t kChunk = 5000;
constexpr std::int64_t kMaxEdges = 100'000;

static constexpr char kPageSizeSql[] = "PRAGMA page_size";
static constexpr char kPagesSql[] =
    "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)";
static constexpr char kAllPagesSql[] = "PRAGMA page_count";
static constexpr char kExpireSql[] = "UPDATE exporter SET expired = expired + (?1 - cursor), cursor = ?1 WHERE cursor < ?1";
static constexpr char kDeleteRowsSql[] = "DELETE FROM rows WHERE seq <= ?1";
static constexpr char kOldestSql[] = "SELECT coalesce(min(seq), 0) FROM rows";
static constexpr char kNewestSql[] = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'rows'), 0)";
// The newest of the oldest ?2 rows that ended before ?1; the first younger row stops the walk.
static constexpr char kAgedSql[] =
    "SELECT coalesce((SELECT min(seq) - 1 FROM (SELECT seq, last_ns, observed_ns FROM rows ORDER BY seq LIMIT ?2) "
    "WHERE max(last_ns, observed_ns) >= ?1), (SELECT max(seq) FROM (SELECT seq FROM rows ORDER BY seq LIMIT ?2)), 0)";
static constexpr char kAgedEdgesSql[] =
    "DELETE FROM edge WHERE id IN (SELECT id FROM edge WHERE last_ns < ?1 AND pending_first_ns = 0 AND window_end_ns = 0 LIMIT 5000)";
static constexpr char kEdgesSql[] = "SELECT count(*) FROM edge";
static constexpr char kSurplusEdgesSql[] =
    "DELETE FROM edge WHERE id IN (SELECT id FROM edge WHERE pending_first_ns = 0 AND window_end_ns = 0 ORDER BY last_ns LIMIT 5000)";
static constexpr char kAgedSightingsSql[] = "DELETE FROM sighting WHERE last_ns < ?1 AND id_key NOT IN (SELECT id_key FROM holding)";
static constexpr char kAgedFindingsSql[] = "DELETE FROM finding WHERE last_ns < ?1";

}  // namespace

Result<std::uint64_t> Store::remove_oldest(std::uint64_t count) {
  auto oldest = db_->number(kOldestSql, 0);
  if (!oldest) return std::unexpected(oldest.error());
  auto newest = db_->number(kNewestSql, 0);
  if (!newest) return std::unexpected(newest.error());
  if (*oldest == 0 || count == 0) return 0;
  const auto first = static_cast<std::uint64_t>(*oldest);
  const std::uint64_t last = std::min(first + count - 1, static_cast<std::uint64_t>(*newest));
  auto done = in_transaction([&]() -> Result<void> {
    if (auto r = db_->run(kExpireSql, last); !r) return r;
    return db_->run(kDeleteRowsSql, last);
  });
  if (!done) return done;
  rows_removed_ = true;
  return last - first + 1;
}

Result<bool> Store::retain() {
  const std::int64_t before = clock_.wall_ns() - options_.retention_ns;
  auto oldest = db_->number(kOldestSql, 0);
  auto aged = db_->number(kAgedSql, 0, before, kChunk);
  auto pages = db_->number(kPagesSql, 0);
  auto page_size = db_->number(kPageSizeSql, 4096);
  auto edges = db_->number(kEdgesSql, 0);
  for (const auto* number : {&oldest, &aged, &pages, &page_size, &edges}) {
    if (!*number) return std::unexpected(number->error());
  }
  const auto used = static_cast<std::uint64_t>(*pages * *page_size);
  if (*oldest != 0 && *aged >= *oldest) {
    auto removed = remove_oldest(static_cast<std::uint64_t>(*aged - *oldest + 1));
    if (!removed) return std::unexpected(removed.error());
    return true;
  }
  // A tenth of the bound stays free, so that a burst between two looks has room.
  if (used > options_.max_bytes / 10 * 9) {
    auto removed = remove_oldest(kChunk);
    if (!removed) return std::unexpected(removed.error());
    if (*removed != 0) return true;
  }
  const auto most_edges = std::min<std::int64_t>(kMaxEdges, static_cast<std::int64_t>(options_.max_bytes / 4096));
  auto cleaned = in_transaction([&]() -> Result<void> {
    for (const char* sql : {kAgedEdgesSql, kAgedSightingsSql, kAgedFindingsSql}) {
      if (auto r = db_->run(sql, before); !r) return r;
    }
    if (*edges > most_edges) {
      if (auto r = db_->run(kSurplusEdgesSql); !r) return r;
    }
    if (!rows_removed_) return {};
    auto removed = dictionary_.remove_unused(static_cast<std::uint64_t>(*oldest));
    if (!removed) return std::unexpected(removed.error());
    rows_removed_ = *removed != 0;
    dictionary_.forget();
    return {};
  });
  if (!cleaned) return std::unexpected(cleaned.error());
  return false;
}

Result<void> Store::checkpoint(bool hard) {
  const int code =
      sqlite3_wal_checkpoint_v2(db_->handle(), nullptr, hard ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code == SQLITE_OK || (code & 0xFF) == SQLITE_BUSY) return {};
  return std::unexpected(database_error(db_->handle(), code));
}

Result<void> Store::hold_size(bool hold) {
  auto page_size = db_->number(kPageSizeSql, 4096);
  if (!page_size) return std::unexpected(page_size.error());
  std::int64_t pages = std::max<std::int64_t>(static_cast<std::int64_t>(options_.max_bytes) / std::max<std::int64_t>(*page_size, 512), 64);
  if (hold) {
    auto now = db_->number(kAllPagesSql, 0);
    if (!now) return std::unexpected(now.error());
    pages = std::min(pages, *now);
  }
  // PRAGMA takes no bound value; this one is a number of ours.
  return db_->script(fmt::format("PRAGMA max_page_count = {}", pages).c_str());
}

}  // namespace keytrail::record
