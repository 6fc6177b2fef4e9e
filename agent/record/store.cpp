// SPDX-License-Identifier: Apache-2.0
#include "agent/record/store.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

namespace keytrail::record {
namespace {

static constexpr char kLastSeqSql[] = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'rows'), 0)";
static constexpr char kSetTotalSql[] =
    "INSERT INTO totals(name, value) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value WHERE value != "
    "excluded.value";
static constexpr char kAddTotalSql[] =
    "INSERT INTO totals(name, value) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = value + excluded.value";
static constexpr char kSetHoldingSql[] =
    "INSERT INTO holding(pid, start_ns, exec, id_key, slot, key, workload, program, uid, since_ns, last_use_ns, how, "
    "slot_changed, "
    "boot_id) "
    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT DO UPDATE SET key = excluded.key, "
    "workload = excluded.workload, program = excluded.program, uid = excluded.uid, since_ns = excluded.since_ns, "
    "last_use_ns = max(last_use_ns, excluded.last_use_ns), how = excluded.how, slot_changed = excluded.slot_changed, "
    "boot_id = excluded.boot_id";
static constexpr char kDropHoldingSql[] =
    "DELETE FROM holding WHERE pid = ?1 AND start_ns = ?2 AND exec = ?3 AND id_key = ?4 AND slot = ?5";
// ?4 when it ended. A sighting lasts as long as the workload had the key.
#define KT_SIGHTED_UNTIL                                                                                       \
  "UPDATE sighting SET last_ns = max(last_ns, ?4) WHERE (id_key, slot, id_workload) IN (SELECT id_key, slot, " \
  "workload FROM holding WHERE pid = ?1 AND start_ns = ?2 AND exec = ?3"
static constexpr char kEndSightingsSql[] = KT_SIGHTED_UNTIL ")";
static constexpr char kEndSightingSql[] = KT_SIGHTED_UNTIL " AND id_key = ?5 AND slot = ?6)";
static constexpr char kLastBatchSql[] = "SELECT value FROM totals WHERE name = 'last_batch_ns'";
static constexpr char kEndHoldingSql[] = "DELETE FROM holding WHERE pid = ?1 AND start_ns = ?2 AND exec = ?3";
static constexpr char kEndLifeSql[] = "DELETE FROM life WHERE pid = ?1 AND start_ns = ?2 AND exec = ?3";
static constexpr char kTouchHoldingSql[] =
    "UPDATE holding SET last_use_ns = ?5 WHERE pid = ?1 AND start_ns = ?2 AND exec = ?3 AND id_key = ?4 AND "
    "last_use_ns < ?5";
static constexpr char kHoldersSql[] = "SELECT DISTINCT pid, start_ns, exec, boot_id FROM holding";

/// No hole lies between, and the clocks went on alike.
bool goes_on(const Watched& before, const Watched& next) {
  const std::int64_t wall = next.to_ns - before.to_ns;
  const auto boot = static_cast<std::int64_t>(next.to_boot_ns - before.to_boot_ns);
  return next.families == before.families && next.from_boot_ns <= before.to_boot_ns &&
         std::abs(wall - boot) < kClockStepNs;
}

}  // namespace

Store::Store(std::unique_ptr<Database> db, const HistoryOptions& options, const Clock& clock)
    : db_(std::move(db)),
      options_(options),
      clock_(clock),
      dictionary_(*db_, std::clamp<std::uint64_t>(options.max_bytes / 16'384, 64, 65'536)),
      coalescer_(options.windows_ns) {
  sqlite3_wal_hook(db_->handle(), &Store::on_commit, this);
}

int Store::on_commit(void* self, sqlite3*, const char*, int frames) {
  static_cast<Store*>(self)->log_pages_ = frames;
  return SQLITE_OK;
}

Result<std::unique_ptr<Store>> Store::open(std::unique_ptr<Database> db, const HistoryOptions& options,
                                           const Clock& clock) {
  std::unique_ptr<Store> store(new Store(std::move(db), options, clock));
  if (auto r = store->hold_size(false); !r) return std::unexpected(r.error());
  if (auto r = store->load_open_windows(); !r) return std::unexpected(r.error());
  if (auto r = store->sum_acquisitions(); !r) return std::unexpected(r.error());
  return store;
}

Result<std::uint64_t> Store::in_transaction(const std::function<Result<void>()>& work) {
  auto transaction = Transaction::begin(*db_, true);
  if (!transaction) return std::unexpected(transaction.error());
  auto last = db_->number(kLastSeqSql, 0);
  if (!last) return std::unexpected(last.error());
  next_seq_ = static_cast<std::uint64_t>(*last) + 1;
  now_ns_ = clock_.wall_ns();
  appended_ = 0;
  dictionary_.at(next_seq_);
  if (auto r = work(); !r) return std::unexpected(r.error());
  if (auto r = limit_open_windows(); !r) return std::unexpected(r.error());
  if (auto r = save_dirty(); !r) return std::unexpected(r.error());
  if (appended_ != 0) {
    if (auto r = add_total("rows", appended_); !r) return std::unexpected(r.error());
  }
  if (auto r = transaction->commit(); !r) return std::unexpected(r.error());
  give_back();
  return appended_;
}

/// What a burst of rows filled a minute with few of them gives back.
void Store::give_back() {
  constexpr std::uint64_t kFew = 256;
  counted_rows_ += appended_;
  if (now_ns_ >= counted_ns_ && now_ns_ - counted_ns_ < kMinute) return;
  counted_ns_ = now_ns_;
  if (std::exchange(counted_rows_, 0) >= kFew) return;
  dictionary_.forget();
  sqlite3_db_release_memory(db_->handle());
}

Result<std::uint64_t> Store::apply(std::span<const Batch> batches, const std::optional<GapRow>& lost) {
  return in_transaction([&]() -> Result<void> {
    if (auto r = close_due(); !r) return r;
    // With the first batch, not before: where the history ends, the gap of a worker that is killed at its start begins.
    if (!batches.empty() && !marked_running_) {
      if (auto r = mark_running(); !r) return r;
    }
    std::optional<Watched> watched;
    for (const Batch& batch : batches) {
      if (auto r = apply_one(batch); !r) return r;
      if (!batch.watched) continue;
      if (watched && goes_on(*watched, *batch.watched)) {
        watched->to_boot_ns = batch.watched->to_boot_ns;
        watched->to_ns = batch.watched->to_ns;
        continue;
      }
      if (watched) {
        if (auto r = note_watched(*watched); !r) return r;
      }
      watched = batch.watched;
    }
    if (watched) {
      if (auto r = note_watched(*watched); !r) return r;
    }
    if (lost) {
      Row row;
      row.time_ns = lost->to_ns;
      row.body = *lost;
      if (auto seq = append(row); !seq) return std::unexpected(seq.error());
      if (auto r = add_total("queue_dropped", lost->lost.value_or(0)); !r) return r;
    }
    if (batches.empty()) return {};
    return store_totals(batches.back().counters);
  });
}

Result<std::uint64_t> Store::tick() {
  return in_transaction([this] { return close_due(); });
}

Result<std::uint64_t> Store::flush_all() {
  return in_transaction([this]() -> Result<void> {
    for (EdgeState* edge : coalescer_.soonest(coalescer_.size())) {
      dirty_.insert(edge);
      if (auto r = emit(*edge, coalescer_.flush(*edge)); !r) return r;
    }
    return {};
  });
}

void Store::forget() {
  db_->roll_back();
  marked_running_ = false;
  dirty_.clear();
  new_readers_.clear();
  coalescer_.clear();
  dictionary_.forget();
  // When even reading fails, windows that are open in the file are found again by the next forget or start.
  (void)load_open_windows();
}

Result<void> Store::apply_one(const Batch& batch) {
  for (const Row& row : batch.rows) {
    if (auto seq = append(row); !seq) return std::unexpected(seq.error());
  }
  for (const HoldingChange& change : batch.holdings) {
    if (auto r = change_holding(change); !r) return r;
  }
  for (const UseRow& use : batch.uses) {
    if (auto r = observe(use, false); !r) return r;
  }
  for (const UseTouch& touch : batch.touches) {
    if (auto r = observe(touch.use, true); !r) return r;
  }
  for (const KeyReader& reader : batch.readers) {
    if (auto r = observe(reader); !r) return r;
  }
  // After the rows: what is learnt of a workload is not older than the row that made it known.
  for (const WorkloadFacts& facts : batch.workloads) {
    const auto news = dictionary_.learn(facts);
    if (!news) return std::unexpected(news.error());
    for (const std::int64_t workload : news->workloads) {
      if (auto seq = append_news(workload, news->text); !seq) return std::unexpected(seq.error());
    }
  }
  return apply_state(batch);
}

Result<void> Store::change_holding(const HoldingChange& change) {
  const Holding& h = change.holding;
  const InstanceId& id = h.actor.id;
  if (change.kind == HoldingChange::Kind::kEnd) return end_instance(id, now_ns_);
  auto ids = intern(h.actor);
  if (!ids) return std::unexpected(ids.error());
  auto id_key = dictionary_.key(identity_of(h.key));
  auto key = dictionary_.key(h.key);
  auto slot = dictionary_.slot(h.slot);
  for (const auto* number : {&id_key, &key, &slot}) {
    if (!*number) return std::unexpected(number->error());
  }
  if (change.kind == HoldingChange::Kind::kDrop) {
    if (auto r = db_->run(kEndSightingSql, id.tgid, id.start_ns, id.exec, now_ns_, *id_key, *slot); !r) return r;
    return db_->run(kDropHoldingSql, id.tgid, id.start_ns, id.exec, *id_key, *slot);
  }
  if (auto r = db_->run(kSetHoldingSql, id.tgid, id.start_ns, id.exec, *id_key, *slot, *key, ids->workload,
                        ids->program, h.actor.uid, h.since_ns, h.last_use_ns, h.how, h.slot_changed, options_.boot_id);
      !r) {
    return r;
  }
  return note_sighting(h.key, h.slot, h.actor, h.since_ns, false);
}

Result<void> Store::end_instance(const InstanceId& id, std::int64_t at_ns) {
  if (auto r = db_->run(kEndSightingsSql, id.tgid, id.start_ns, id.exec, at_ns); !r) return r;
  if (auto r = db_->run(kEndHoldingSql, id.tgid, id.start_ns, id.exec); !r) return r;
  return db_->run(kEndLifeSql, id.tgid, id.start_ns, id.exec);
}

Result<void> Store::touch_holdings(const EdgeState& edge, const UseRow& use) {
  const InstanceId& id = edge.latest.instance;
  for (const Candidate& candidate : use.keys) {
    auto key = dictionary_.key(identity_of(candidate.key));
    if (!key) return std::unexpected(key.error());
    if (auto r = db_->run(kTouchHoldingSql, id.tgid, id.start_ns, id.exec, *key, std::max(use.first_ns, use.last_ns));
        !r)
      return r;
  }
  return {};
}

Result<void> Store::store_totals(const WorkerCounters& counters) {
  if (auto r = set_counters(kSetTotalSql, counters); !r) return r;
  if (auto r = db_->run(kSetTotalSql, "untold", counters.untold); !r) return r;
  return db_->run(kSetTotalSql, "last_batch_ns", now_ns_);
}

Result<void> Store::set_counters(const char* sql, const WorkerCounters& counters) {
  if (auto r = db_->run(sql, "received", counters.received); !r) return r;
  if (auto r = db_->run(sql, "recorded", counters.recorded); !r) return r;
  if (auto r = db_->run(sql, "absorbed", counters.absorbed); !r) return r;
  for (const auto& [reason, count] : counters.dropped) {
    if (auto r = db_->run(sql, "dropped:" + reason, count); !r) return r;
  }
  for (const auto& [loss, count] : counters.told) {
    if (auto r = db_->run(sql, "told:" + loss, count); !r) return r;
  }
  return {};
}

Result<void> Store::add_total(const char* name, std::uint64_t value) { return db_->run(kAddTotalSql, name, value); }

Result<std::uint64_t> Store::retain_holdings(const std::string& boot_id,
                                             const std::function<bool(const InstanceId&)>& alive) {
  std::vector<InstanceId> ended;
  {
    Cursor cursor = db_->query(kHoldersSql);
    while (true) {
      auto row = cursor.next();
      if (!row) return std::unexpected(row.error());
      if (!*row) break;
      const InstanceId id{static_cast<std::uint32_t>(cursor.integer(0)), cursor.natural(1),
                          static_cast<std::uint32_t>(cursor.integer(2))};
      if (cursor.text(3) != boot_id || !alive(id)) ended.push_back(id);
    }
  }
  auto done = in_transaction([&]() -> Result<void> {
    // When they ended nobody saw; until then they surely had their keys.
    const auto last = db_->number(kLastBatchSql, 0);
    if (!last) return std::unexpected(last.error());
    for (const InstanceId& id : ended) {
      if (auto r = end_instance(id, *last); !r) return r;
    }
    return {};
  });
  if (!done) return done;
  return ended.size();
}

}  // namespace keytrail::record
