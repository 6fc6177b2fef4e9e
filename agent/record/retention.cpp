// SPDX-License-Identifier: Apache-2.0
// Bounds: by age, by size, and getting out of a full disk. Chunks are small so that batches pass between them; pages
// are reused, never given back (no VACUUM).
#include <fmt/format.h>

#include <algorithm>

#include "agent/record/store.h"

namespace keytrail::record {
namespace {

constexpr std::uint64_t kChunk = 5000;
constexpr std::int64_t kMaxEdges = 100'000;
constexpr std::int64_t kMaxSlotChanges = 16'384;
constexpr int kCopyEveryPages = 1000;
constexpr int kHardPages = 8000;
constexpr int kWaitForReadersMs = 300;
constexpr auto kHardEvery = std::chrono::seconds(5);

static constexpr char kPageSizeSql[] = "PRAGMA page_size";
static constexpr char kPagesSql[] =
    "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)";
static constexpr char kAllPagesSql[] = "PRAGMA page_count";
static constexpr char kExpireSql[] =
    "UPDATE exporter SET expired = expired + (?1 - cursor), cursor = ?1 WHERE cursor < ?1";
static constexpr char kDeleteRowsSql[] = "DELETE FROM rows WHERE seq <= ?1";
static constexpr char kOldestSql[] = "SELECT coalesce(min(seq), 0) FROM rows";
static constexpr char kOldestTimeSql[] = "SELECT coalesce((SELECT time_ns FROM rows ORDER BY seq LIMIT 1), 0)";
static constexpr char kNewestSql[] = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'rows'), 0)";
// The newest of the oldest ?2 rows that ended before ?1; the first younger row stops the walk.
static constexpr char kAgedSql[] =
    "SELECT coalesce((SELECT min(seq) - 1 FROM (SELECT seq, last_ns, observed_ns FROM rows ORDER BY seq LIMIT ?2) "
    "WHERE max(last_ns, observed_ns) >= ?1), (SELECT max(seq) FROM (SELECT seq FROM rows ORDER BY seq LIMIT ?2)), 0)";
static constexpr char kAgedEdgesSql[] =
    "DELETE FROM edge WHERE id IN (SELECT id FROM edge WHERE last_ns < ?1 AND pending_first_ns = 0 AND window_end_ns = "
    "0 LIMIT 5000)";
static constexpr char kEdgesSql[] = "SELECT count(*) FROM edge";
static constexpr char kSurplusEdgesSql[] =
    "DELETE FROM edge WHERE id IN (SELECT id FROM edge WHERE pending_first_ns = 0 AND window_end_ns = 0 "
    "ORDER BY last_ns LIMIT min(?1, 5000))";
static constexpr char kAgedSightingsSql[] =
    "DELETE FROM sighting WHERE last_ns < ?1 AND id_key NOT IN (SELECT id_key FROM holding)";
static constexpr char kSurplusSightingsSql[] =
    "DELETE FROM sighting WHERE (SELECT count(*) FROM sighting) > ?1 AND last_ns < (SELECT last_ns FROM sighting "
    "ORDER BY last_ns DESC LIMIT 1 OFFSET ?1)";
static constexpr char kSurplusFindingsSql[] =
    "DELETE FROM finding WHERE (SELECT count(*) FROM finding) > ?1 AND last_ns < (SELECT last_ns FROM finding "
    "ORDER BY last_ns DESC LIMIT 1 OFFSET ?1)";
static constexpr char kAgedFindingsSql[] = "DELETE FROM finding WHERE last_ns < ?1";
// What is said of a key that somebody may still ask for stays.
static constexpr char kAgedChangesSql[] =
    "DELETE FROM slot_history WHERE time_ns < ?1 AND old_id NOT IN (SELECT key_id FROM key)";
static constexpr char kSurplusChangesSql[] =
    "DELETE FROM slot_history WHERE id <= (SELECT id FROM slot_history ORDER BY id DESC LIMIT 1 OFFSET ?1)";
static constexpr char kSurplusSlotsSql[] =
    "DELETE FROM slot_now WHERE since_ns < (SELECT since_ns FROM slot_now ORDER BY since_ns DESC LIMIT 1 OFFSET ?1)";

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

Result<std::int64_t> Store::oldest_ns() { return db_->number(kOldestTimeSql, 0); }

Result<std::uint64_t> Store::make_room() {
  auto oldest = db_->number(kOldestSql, 0);
  auto newest = db_->number(kNewestSql, 0);
  if (!oldest) return std::unexpected(oldest.error());
  if (!newest) return std::unexpected(newest.error());
  const std::uint64_t count =
      std::clamp<std::uint64_t>(static_cast<std::uint64_t>(*newest - *oldest + 1) / 20, 100, kChunk);
  auto removed = remove_oldest(count);
  if (!removed) return removed;
  // In a flood dictionaries fill the file too; looking through them costs more than a big chunk of rows.
  if (count == kChunk && ++chunks_ % 8 != 0) return removed;
  if (auto r = clean(clock_.wall_ns() - options_.retention_ns); !r) return r;
  return removed;
}

Result<bool> Store::crowded() {
  auto pages = db_->number(kPagesSql, 0);
  auto page_size = db_->number(kPageSizeSql, 4096);
  if (!pages) return std::unexpected(pages.error());
  if (!page_size) return std::unexpected(page_size.error());
  return static_cast<std::uint64_t>(*pages * *page_size) > options_.max_bytes / 10 * 9;
}

/// Removes what no row needs any more: old edges, sightings, findings and changes of slots, unused dictionary entries.
Result<std::uint64_t> Store::clean(std::int64_t before_ns) {
  auto oldest = db_->number(kOldestSql, 0);
  auto newest = db_->number(kNewestSql, 0);
  auto edges = db_->number(kEdgesSql, 0);
  for (const auto* number : {&oldest, &newest, &edges}) {
    if (!*number) return std::unexpected(number->error());
  }
  const auto most_edges = std::min<std::int64_t>(kMaxEdges, static_cast<std::int64_t>(options_.max_bytes / 4096));
  const auto first = static_cast<std::uint64_t>(*oldest != 0 ? *oldest : *newest + 1);
  return in_transaction([&]() -> Result<void> {
    for (const char* sql : {kAgedEdgesSql, kAgedSightingsSql, kAgedFindingsSql, kAgedChangesSql}) {
      if (auto r = db_->run(sql, before_ns); !r) return r;
    }
    if (*edges > most_edges) {
      if (auto r = db_->run(kSurplusEdgesSql, *edges - most_edges); !r) return r;
    }
    for (const char* sql : {kSurplusSightingsSql, kSurplusFindingsSql, kSurplusSlotsSql}) {
      if (auto r = db_->run(sql, most_edges); !r) return r;
    }
    if (auto r = db_->run(kSurplusChangesSql, std::min(most_edges, kMaxSlotChanges)); !r) return r;
    if (!rows_removed_) return {};
    auto removed = dictionary_.remove_unused(first);
    if (!removed) return std::unexpected(removed.error());
    rows_removed_ = *removed != 0;
    dictionary_.forget();
    return {};
  });
}

Result<bool> Store::retain() {
  const std::int64_t before = clock_.wall_ns() - options_.retention_ns;
  auto oldest = db_->number(kOldestSql, 0);
  auto aged = db_->number(kAgedSql, 0, before, kChunk);
  auto full = crowded();
  if (!oldest) return std::unexpected(oldest.error());
  if (!aged) return std::unexpected(aged.error());
  if (!full) return full;
  if (*oldest != 0 && *aged >= *oldest) {
    auto removed = remove_oldest(static_cast<std::uint64_t>(*aged - *oldest + 1));
    if (!removed) return std::unexpected(removed.error());
    return true;
  }
  if (*full) {
    auto removed = make_room();
    if (!removed) return std::unexpected(removed.error());
    return *removed != 0;
  }
  if (auto cleaned = clean(before); !cleaned) return std::unexpected(cleaned.error());
  return false;
}

Result<void> Store::checkpoint(bool hard) {
  const auto now = std::chrono::steady_clock::now();
  if (hard) {
    sqlite3_busy_timeout(db_->handle(), kWaitForReadersMs);
    next_hard_ = now + kHardEvery;
  }
  const int code = sqlite3_wal_checkpoint_v2(
      db_->handle(), nullptr, hard ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (hard) sqlite3_busy_timeout(db_->handle(), kBusyMs);
  copied_pages_ = log_pages_;
  if (code == SQLITE_OK || (code & 0xFF) == SQLITE_BUSY) return {};
  return std::unexpected(database_error(db_->handle(), code));
}

Result<bool> Store::checkpoint_if_due() {
  if (log_pages_ < copied_pages_) copied_pages_ = 0;  // the log began again
  if (log_pages_ - copied_pages_ < kCopyEveryPages) return false;
  auto done = checkpoint(log_pages_ > kHardPages && std::chrono::steady_clock::now() >= next_hard_);
  if (!done) return std::unexpected(done.error());
  return true;
}

Result<void> Store::hold_size(bool hold) {
  auto page_size = db_->number(kPageSizeSql, 4096);
  if (!page_size) return std::unexpected(page_size.error());
  std::int64_t pages = std::max<std::int64_t>(
      static_cast<std::int64_t>(options_.max_bytes) / std::max<std::int64_t>(*page_size, 512), 64);
  if (hold) {
    auto now = db_->number(kAllPagesSql, 0);
    if (!now) return std::unexpected(now.error());
    pages = std::min(pages, *now);
  }
  // PRAGMA takes no bound value; this one is a number of ours.
  return db_->script(fmt::format("PRAGMA max_page_count = {}", pages).c_str());
}

}  // namespace keytrail::record
