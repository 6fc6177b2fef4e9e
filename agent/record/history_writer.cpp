// SPDX-License-Identifier: Apache-2.0
// The queue and the writer's thread: batches in, transactions out, and what is done when there is no room.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/base/log.h"
#include "agent/record/history.h"

namespace keytrail::record {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kAttemptsWithoutRoom = 5;           // for errors that trying again does not mend
constexpr std::ptrdiff_t kMaxOverflow = 100'000;  // readers, holdings, lives, changes of each kind
constexpr auto kRetentionEvery = std::chrono::seconds(30);

/// When the oldest of what is dropped with its rows happened, Unix ns.
std::int64_t oldest_in(const Batch& batch, std::int64_t now_ns) {
  std::int64_t oldest = now_ns;
  for (const Row& row : batch.rows)
    oldest = std::min(oldest, row.time_ns);
  for (const UseRow& use : batch.uses)
    oldest = std::min(oldest, use.first_ns);
  return oldest;
}

std::size_t rows_in(const Batch& batch) {
  return batch.rows.size() + batch.uses.size() + batch.touches.size() + batch.readers.size();
}

std::string dropped_words(std::uint64_t rows) {
  return fmt::format("{} rows were dropped because the history could not take them", rows);
}

}  // namespace

/// Counts the rows of a batch as lost and empties them; state and counters stay. Call with `mutex_` held.
void History::drop_rows(Batch& batch, const char* cause) {
  const std::size_t rows = batch.rows.size() + batch.uses.size();
  const std::int64_t now = clock_.wall_ns();
  const std::int64_t oldest = oldest_in(batch, now);
  batch.rows.clear();
  batch.uses.clear();
  batch.touches.clear();
  if (rows == 0) return;
  lost_later_ns_ = earlier_of(lost_later_ns_, oldest);
  if (lost_.lost.value_or(0) == 0) {
    lost_.from_ns = oldest;
    lost_.lost = 0;
    lost_.cause = cause;
  }
  lost_.from_ns = std::min(lost_.from_ns, oldest);
  lost_.to_ns = now;
  *lost_.lost += rows;
  lost_.text = dropped_words(*lost_.lost);
}

/// What was kept of dropped batches goes behind those that are queued. Call with `mutex_` held.
void History::admit_overflow() {
  if (!overflowed_) return;
  queued_rows_ += rows_in(overflow_.batch);
  if (rows_in(overflow_.batch) == 0) overflow_.since_ns = 0;
  queue_.push_back(std::exchange(overflow_, Waiting{}));
  overflowed_ = false;
}

/// What is no row stays, behind what stays already. Call with `mutex_` held.
void History::keep_state(Batch& batch) {
  // Bounded memory comes first; the gap says that holders may be wrong until the next start looks at them.
  const auto keep = [](auto& kept, auto& more) {
    kept.insert(kept.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    if (std::ssize(kept) > kMaxOverflow) kept.erase(kept.begin(), kept.end() - kMaxOverflow);
  };
  Batch& kept = overflow_.batch;
  keep(kept.readers, batch.readers);
  keep(kept.holdings, batch.holdings);
  keep(kept.workloads, batch.workloads);
  keep(kept.lives, batch.lives);
  keep(kept.slot_changes, batch.slot_changes);
  keep(kept.findings, batch.findings);
  if (batch.session) kept.session = std::move(batch.session);
  if (batch.watched && kept.watched) {
    batch.watched->from_boot_ns = kept.watched->from_boot_ns;
    batch.watched->from_ns = kept.watched->from_ns;
    batch.watched->families &= kept.watched->families;
  }
  if (batch.watched) kept.watched = batch.watched;
  kept.counters = std::move(batch.counters);
  overflow_.number = submitted_;
  if (overflow_.since_ns == 0) overflow_.since_ns = clock_.wall_ns();
  overflowed_ = true;
}

void History::submit(Batch batch) {
  const std::size_t rows = rows_in(batch);
  {
    const std::lock_guard lock(mutex_);
    ++submitted_;
    const bool full = stopping_ || queue_.size() >= options_.queue_batches || queued_rows_ + rows > options_.queue_rows;
    if (!full) {
      // The writer has begun to wait with the first of them, for a row or for enough of them: nothing else wakes it.
      const bool first = queue_.empty(), first_row = rows != 0 && queued_rows_ == 0;
      admit_overflow();
      queued_rows_ += rows;
      queue_.push_back({std::move(batch), rows != 0 ? clock_.wall_ns() : 0, submitted_});
      if (!first && !first_row && queued_rows_ < options_.merge_rows) return;
    } else {
      drop_rows(batch, "record_queue_full");
      keep_state(batch);
    }
  }
  changed_.notify_all();
}

std::vector<Batch> History::take(std::unique_lock<std::mutex>& lock) {
  if (!stopping_ && !urgent_ && !queue_.empty()) {
    // What has no row waits for one: a transaction costs more than most of what happens on a quiet node.
    changed_.wait_for(lock, options_.wait_for_row, [this] { return stopping_ || urgent_ || queued_rows_ != 0; });
    const auto until = steady_clock::now() + options_.merge_for;
    changed_.wait_until(lock, until, [this] { return stopping_ || urgent_ || queued_rows_ >= options_.merge_rows; });
  }
  std::vector<Batch> batches;
  std::size_t rows = 0;
  storing_since_ns_ = 0;
  while (!queue_.empty() && (batches.empty() || rows + rows_in(queue_.front().batch) <= options_.merge_rows)) {
    Waiting& next = queue_.front();
    rows += rows_in(next.batch);
    storing_since_ns_ = earlier_of(storing_since_ns_, next.since_ns);
    storing_ = std::max(storing_, next.number);
    batches.push_back(std::move(next.batch));
    queue_.pop_front();
  }
  queued_rows_ -= rows;
  storing_rows_ = rows;
  if (queue_.empty()) admit_overflow();
  return batches;
}

void History::run() {
  while (true) {
    std::vector<Batch> batches;
    bool last = false;
    {
      std::unique_lock lock(mutex_);
      busy_ = false;
      storing_rows_ = 0;
      storing_since_ns_ = 0;
      if (queue_.empty() && !overflowed_ && lost_.lost.value_or(0) == 0) drained_.notify_all();
      changed_.wait_until(lock, next_maintenance_, [this] { return stopping_ || !queue_.empty() || overflowed_; });
      if (queue_.empty()) admit_overflow();
      batches = take(lock);
      busy_ = true;
      last = stopping_ && queue_.empty() && !overflowed_;
    }
    bool lost = false;
    {
      const std::lock_guard lock(mutex_);
      lost = lost_.lost.value_or(0) != 0;
    }
    if (!batches.empty() || lost) store(std::move(batches));
    if (last) break;
    if (steady_clock::now() >= next_maintenance_) maintain();
  }
  const std::lock_guard lock(mutex_);
  busy_ = false;
  drained_.notify_all();
}

/// Stores the batches, however often that has to be tried.
void History::store(std::vector<Batch> batches) {
  for (int attempt = 1;; ++attempt) {
    std::optional<GapRow> lost;
    {
      const std::lock_guard lock(mutex_);
      if (lost_.lost.value_or(0) != 0) lost = lost_;
      lost_later_ns_ = 0;
    }
    Result<std::uint64_t> stored = 0;
    {
      const std::lock_guard lock(store_mutex_);
      stored = store_->apply(batches, lost);
    }
    if (stored) {
      {
        const std::lock_guard lock(mutex_);
        // More may have been lost while this gap was being stored.
        if (lost) {
          *lost_.lost -= *lost->lost;
          lost_.from_ns = lost_later_ns_;
          lost_.text = dropped_words(*lost_.lost);
        }
        stored_ = storing_;
        if (!no_room_) error_.clear();
        if (!batches.empty()) stored_counters_ = batches.back().counters;
        if (evicted_) queue_gap(*std::exchange(evicted_, std::nullopt));
      }
      if (*stored != 0) wake_exporters();
      after_commit(*stored != 0);
      return;
    }
    look_for_damage(stored.error());
    if (recover(stored.error(), attempt)) continue;
    if (give_up(batches, stored.error(), attempt)) return;
  }
}

/// True when trying again makes no sense: the rows are counted as lost, what is left is tried once more with the next
/// batch.
bool History::give_up(std::vector<Batch>& batches, const Error& error, int attempt) {
  std::unique_lock lock(mutex_);
  if (stopping_ && attempt >= kAttemptsWithoutRoom) {
    spdlog::error("history: {} batches could not be stored before the end: {}", batches.size(),
                  base::printable(error.message));
    queue_.clear();
    overflowed_ = false;
    return true;
  }
  if ((hopeless_ || error.code != Error::Code::kUnavailable) && attempt >= kAttemptsWithoutRoom) {
    spdlog::error("history: rows dropped: {}", base::printable(error.message));
    for (Batch& batch : batches)
      drop_rows(batch, "record_error");
    if (attempt < 2 * kAttemptsWithoutRoom) return false;
    return true;
  }
  const auto pause = milliseconds(std::min(100 * attempt, 1000));
  changed_.wait_for(lock, pause, [this] { return stopping_; });
  return false;
}

/// Copies the log when it is due and may look whether retention is. A log or file that cannot be synced is said and
/// leaves a gap row: what was committed since the last good copy is not surely on the disk.
void History::after_commit(bool look) {
  const std::lock_guard store_lock(store_mutex_);
  auto copied = checked(store_->checkpoint_if_due());
  if (auto full = look ? store_->crowded() : false; full.value_or(false))
    next_retention_ = next_maintenance_ = steady_clock::now();
  const std::lock_guard lock(mutex_);
  const std::int64_t now = clock_.wall_ns();
  if (copied && !*copied) return;
  if (copied) {
    copied_ns_ = now;
    copy_error_.clear();
    return;
  }
  if (!copy_error_.empty()) return;
  copy_error_ = copied.error().message;
  spdlog::error("history: {}", base::printable(copy_error_));
  queue_gap({"storage_error", "", copied_ns_, now, std::nullopt,
             "The history could not be synced to the disk: " + copy_error_});
}

/// A gap of the history's own, in front of all that waits. Call after a commit, with `mutex_` held.
void History::queue_gap(GapRow gap) {
  const std::int64_t now = clock_.wall_ns();
  Batch batch;
  batch.rows.push_back({.time_ns = now, .observed_ns = now, .body = std::move(gap)});
  batch.counters = stored_counters_;
  ++queued_rows_;
  queue_.push_front({std::move(batch), now, 0});
}

/// Rows that went before their time, because the disk was full of something else: whoever asks about their period must
/// hear of it.
void History::note_evicted(std::uint64_t rows, std::int64_t from_ns, std::int64_t to_ns) {
  const std::lock_guard lock(mutex_);
  if (!evicted_) evicted_ = GapRow{"disk_full", "", from_ns, to_ns, 0, ""};
  evicted_->to_ns = std::max(evicted_->to_ns, to_ns);
  *evicted_->lost += rows;
  evicted_->text = fmt::format("{} rows were removed before their time because the disk was full", *evicted_->lost);
}

/// Makes room where that is what is missing. True when trying again at once makes sense.
bool History::recover(const Error& error, int attempt) {
  const std::lock_guard lock(store_mutex_);
  store_->forget();
  const bool own_bound =
      is_no_room(error) && file_.free_bytes() > std::max<std::uint64_t>(2 * options_.reserve_bytes, 1U << 20U);
  if (own_bound && no_room_) {
    look_for_room();
    if (!no_room_) return true;  // the disk has room again, and the file may grow: nothing needs to go
  }
  if (!own_bound) {
    if (attempt == 1) spdlog::error("history: {}", base::printable(error.message));
    set_error(error.message);
    if (!is_no_room(error)) return false;
    no_room_ = true;
    file_.drop_reserve();
    (void)store_->checkpoint(true);
    if (auto r = store_->hold_size(true); !r) store_->forget();
    if (attempt == 1)
      return true;  // the reserve and a shorter log may be enough: nothing is removed for others' bytes before
  }
  const auto from_ns = store_->oldest_ns();
  // A file that is nearly at its own bound gives more than exporters have passed, but not at once.
  auto room = store_->make_room(!own_bound && attempt == 2);
  if (!room) store_->forget();
  if (!own_bound) {
    const auto to_ns = store_->oldest_ns();
    if (room && room->rows != 0 && !room->told)
      note_evicted(room->rows, from_ns.value_or(0), to_ns.value_or(0) != 0 ? *to_ns : clock_.wall_ns());
    (void)store_->checkpoint(true);
  }
  // Nothing left to remove, and it still does not fit the bound: this will not change.
  hopeless_ = own_bound && room && room->rows == 0;
  return own_bound && room && room->rows != 0;
}

/// After a full disk: when there is room again, the reserve comes back and the file may grow.
void History::look_for_room() {
  if (!file_.make_reserve(options_.reserve_bytes)) return;
  if (auto r = store_->hold_size(false); !r) {
    store_->forget();
    return;
  }
  no_room_ = false;
  set_error("");
}

void History::maintain() {
  const auto now = steady_clock::now();
  const bool retention = now >= next_retention_;
  next_maintenance_ = now + std::chrono::seconds(1);
  std::uint64_t appended = 0;
  {
    const std::lock_guard lock(store_mutex_);
    if (no_room_) look_for_room();
    const std::int64_t end = store_->next_window_end_ns();
    if (end != 0) {
      auto closed = checked(store_->tick());
      if (closed) appended = *closed;
      if (!closed) store_->forget();
    }
    if (retention) {
      auto more = checked(store_->retain());
      if (!more) store_->forget();
      next_retention_ = more.value_or(false) ? now + milliseconds(20) : now + kRetentionEvery;
      if (more.value_or(false)) next_maintenance_ = next_retention_;
    }
  }
  if (appended != 0) wake_exporters();
  after_commit(true);
}

}  // namespace keytrail::record
