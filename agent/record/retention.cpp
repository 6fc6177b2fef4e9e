// SPDX-License-Identifier: Apache-2.0
// Bounds: by age, by size, and getting out of a full disk. Chunks are small so that batches pass between them; pages
// are reused, never given back (no VACUUM). What goes by age is no gap: the history begins later. What goes for its own
// size is one. For the bytes of others only goes what every exporter has passed.
#include <fmt/format.h>

#include <algorithm>

#include "agent/record/cursors.h"
#include "agent/record/eviction.h"
#include "agent/record/retention_clock.h"
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
static constexpr char kMostPagesSql[] = "PRAGMA max_page_count";
static constexpr char kClockSql[] = "SELECT CAST(value AS TEXT) FROM meta WHERE name = 'retention_clock'";
static constexpr char kSetClockSql[] =
    "INSERT INTO meta(name, value) VALUES('retention_clock', ?1) ON CONFLICT DO UPDATE SET value = excluded.value";
static constexpr char kExpireSql[] =
    "UPDATE exporter SET expired = expired + (?1 - cursor), cursor = ?1 WHERE cursor < ?1";
static constexpr char kDeleteRowsSql[] = "DELETE FROM rows WHERE seq <= ?1";
static constexpr char kOldestSql[] = "SELECT coalesce(min(seq), 0) FROM rows";
static constexpr char kOldestTimeSql[] = "SELECT coalesce((SELECT time_ns FROM rows ORDER BY seq LIMIT 1), 0)";
static constexpr char kNewestSql[] = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'rows'), 0)";
// The newest of the oldest ?2 rows that ended before ?1; the first younger row stops the walk. Not one that lies in the
// future (after ?3): a clock was wrong when it was written, and it goes with those around it.
static constexpr char kAgedSql[] =
    "WITH oldest AS (SELECT seq, max(last_ns, observed_ns) AS at FROM rows ORDER BY seq LIMIT ?2) "
    "SELECT coalesce((SELECT max(seq) FROM oldest WHERE at < ?1 AND seq < coalesce((SELECT min(seq) FROM oldest "
    "WHERE at >= ?1 AND at <= ?3), 9223372036854775807)), 0)";
static constexpr char kAgedEdgesSql[] =
    "DELETE FROM edge WHERE id IN (SELECT id FROM edge WHERE last_ns < ?1 AND pending_connections = 0 AND "
    "pending_requests <= 0 AND window_end_ns = 0 LIMIT 5000)";
static constexpr char kEdgesSql[] = "SELECT count(*) FROM edge";
static constexpr char kSurplusEdgesSql[] =
    "DELETE FROM edge WHERE id IN (SELECT id FROM edge WHERE pending_connections = 0 AND pending_requests <= 0 AND "
    "window_end_ns = 0 ORDER BY last_ns LIMIT min(?1, 5000))";
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

/// The time to delete by. What cannot be stored now is told from what was stored before.
Result<std::int64_t> retention_time(Database& db, const std::string& boot_id, const Clock& clock) {
  RetentionClock stored;
  {
    Cursor cursor = db.query(kClockSql);
    auto row = cursor.next();
    if (!row) return std::unexpected(row.error());
    if (*row) stored = RetentionClock::parse(cursor.text(0)).value_or(RetentionClock());
  }
  RetentionClock now = stored;
  const std::int64_t time = now.advance(boot_id, clock.boot_ns(), clock.wall_ns());
  if (stored.is_outdated(now)) (void)db.run(kSetClockSql, now.text());
  return time;
}

std::int64_t most_pages(const HistoryOptions& options, std::int64_t page_size) {
  return std::max<std::int64_t>(static_cast<std::int64_t>(options.max_bytes) / std::max<std::int64_t>(page_size, 512),
                                64);
}

/// The file is kept from growing below its own bound (hold_size): the disk is full, of other files.
Result<bool> is_full_of_others(Database& db, const HistoryOptions& options) {
  auto page_size = db.number(kPageSizeSql, 4096);
  auto most = db.number(kMostPagesSql, 0);
  if (!page_size) return std::unexpected(page_size.error());
  if (!most) return std::unexpected(most.error());
  return *most < most_pages(options, *page_size);
}

/// Appends the gap of what was evicted, when it is time; in the caller's transaction.
template <typename Append>
Result<void> tell_evicted(Database& db, std::int64_t now_ns, const Append& append) {
  auto gap = due_gap(db, now_ns);
  if (!gap) return std::unexpected(gap.error());
  if (!*gap) return {};
  Row row;
  row.time_ns = now_ns;
  row.body = *std::move(*gap);
  auto seq = append(row);
  if (!seq) return std::unexpected(seq.error());
  return {};
}

}  // namespace

Result<void> Store::remove_up_to(std::uint64_t last_seq) {
  if (auto r = db_->run(kExpireSql, last_seq); !r) return r;
  if (auto r = note_removed(last_seq); !r) return r;
  return db_->run(kDeleteRowsSql, last_seq);
}

Result<std::uint64_t> Store::remove_oldest(std::uint64_t count) {
  auto oldest = db_->number(kOldestSql, 0);
  if (!oldest) return std::unexpected(oldest.error());
  auto newest = db_->number(kNewestSql, 0);
  if (!newest) return std::unexpected(newest.error());
  if (*oldest == 0 || count == 0) return 0;
  const auto first = static_cast<std::uint64_t>(*oldest);
  const std::uint64_t last = std::min(first + count - 1, static_cast<std::uint64_t>(*newest));
  auto done = in_transaction([&] { return remove_up_to(last); });
  if (!done) return done;
  rows_removed_ = true;
  return last - first + 1;
}

Result<std::int64_t> Store::oldest_ns() { return db_->number(kOldestTimeSql, 0); }

Result<Store::Room> Store::make_room(bool gently) {
  auto oldest = db_->number(kOldestSql, 0);
  auto newest = db_->number(kNewestSql, 0);
  if (!oldest) return std::unexpected(oldest.error());
  if (!newest) return std::unexpected(newest.error());
  const std::uint64_t count =
      std::clamp<std::uint64_t>(static_cast<std::uint64_t>(*newest - *oldest + 1) / 20, 100, kChunk);
  auto held = is_full_of_others(*db_, options_);
  auto full = crowded();
  if (!held) return std::unexpected(held.error());
  if (!full) return std::unexpected(full.error());
  if (*held && (gently || !*full)) {
    auto passed = least_cursor(*db_);
    if (!passed) return std::unexpected(passed.error());
    // An error, not "nothing": the rows wait until there is room again.
    if (*passed < *oldest || *oldest == 0)
      return fail(Error::Code::kUnavailable, "the disk is full of other files, and no exporter has what could go");
    auto removed = remove_oldest(std::min(count, static_cast<std::uint64_t>(*passed - *oldest + 1)));
    if (!removed) return std::unexpected(removed.error());
    return Room{*removed, false};
  }
  std::uint64_t removed = 0;
  if (*oldest != 0) {
    const auto first = static_cast<std::uint64_t>(*oldest);
    const std::uint64_t last = std::min(first + count - 1, static_cast<std::uint64_t>(*newest));
    auto done = in_transaction([&]() -> Result<void> {
      auto evicted = evicted_by(*db_, last);
      if (!evicted) return std::unexpected(evicted.error());
      if (auto r = remove_up_to(last); !r) return r;
      if (auto r = note_evicted(*db_, *evicted); !r) return r;
      return tell_evicted(*db_, now_ns_, [this](const Row& row) { return append(row); });
    });
    if (!done) return std::unexpected(done.error());
    rows_removed_ = true;
    removed = last - first + 1;
  }
  // In a flood dictionaries fill the file too; looking through them costs more than a big chunk of rows.
  if (count == kChunk && ++chunks_ % 8 != 0) return Room{removed, true};
  auto now = retention_time(*db_, options_.boot_id, clock_);
  if (!now) return std::unexpected(now.error());
  if (auto r = clean(*now - options_.retention_ns); !r) return std::unexpected(r.error());
  return Room{removed, true};
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
    if (auto r = limit_watched(); !r) return r;
    if (!rows_removed_) return {};
    auto removed = dictionary_.remove_unused(first);
    if (!removed) return std::unexpected(removed.error());
    rows_removed_ = *removed != 0;
    dictionary_.forget();
    return {};
  });
}

Result<bool> Store::retain() {
  auto now = retention_time(*db_, options_.boot_id, clock_);
  if (!now) return std::unexpected(now.error());
  const std::int64_t before = *now - options_.retention_ns;
  auto oldest = db_->number(kOldestSql, 0);
  auto aged = db_->number(kAgedSql, 0, before, kChunk, *now);
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
    auto room = make_room();
    if (!room) return std::unexpected(room.error());
    return room->rows != 0;
  }
  if (auto cleaned = clean(before); !cleaned) return std::unexpected(cleaned.error());
  auto untold = has_untold(*db_);
  if (!untold) return untold;
  if (!*untold) return false;
  auto told =
      in_transaction([this] { return tell_evicted(*db_, now_ns_, [this](const Row& row) { return append(row); }); });
  if (!told) return std::unexpected(told.error());
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
  std::int64_t pages = most_pages(options_, *page_size);
  if (hold) {
    auto now = db_->number(kAllPagesSql, 0);
    if (!now) return std::unexpected(now.error());
    pages = std::min(pages, *now);
  }
  // PRAGMA takes no bound value; this one is a number of ours.
  return db_->script(fmt::format("PRAGMA max_page_count = {}", pages).c_str());
}

}  // namespace keytrail::record
