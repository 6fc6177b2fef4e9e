// SPDX-License-Identifier: Apache-2.0
// Opening and closing, and the ports that only pass on. The writer's loop is in history_writer.cpp.
#include "agent/record/history.h"

#include <fmt/format.h>

#include <fstream>

#include "agent/base/log.h"
#include "agent/record/epoch.h"
#include "agent/record/put_aside.h"
#include "agent/record/schema.h"

namespace keytrail::record {
namespace {

constexpr std::uint64_t kSmallestBytes = 1U << 20U;

// The log is copied into the file by the writer itself, so that a failure there is seen (SQLite's own hook hides it).
static constexpr char kWriterPragmas[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit "
    "= 8388608; PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY";
static constexpr char kJournalModeSql[] = "PRAGMA journal_mode";

std::string read_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

/// What to do about a file that cannot be used as it is.
Error advise(const std::string& path, Error error) {
  if (is_damage(error)) {
    error.message = fmt::format(
        "{} in {}: move it away together with its -wal file (mv {} {}.damaged) and start again; a new history begins",
        error.message, path, path, path);
  }
  return error;
}

}  // namespace

Result<std::unique_ptr<History>> History::open(const HistoryOptions& options, const Clock& clock) {
  if (options.max_bytes < kSmallestBytes)
    return fail(Error::Code::kInvalid, "the history's bound must be at least 1 MiB");
  if (options.retention_ns <= 0)
    return fail(Error::Code::kInvalid, "the history's retention must be longer than nothing");
  HistoryOptions complete = options;
  if (complete.boot_id.empty()) complete.boot_id = read_boot_id();
  std::unique_ptr<History> history(new History(complete, clock));
  Result<void> started;
  if (is_marked_damaged(options.path)) {
    started = std::unexpected(damage_error("it was found to be while it was in use"));
  } else if (is_emptied(options.path)) {
    started = std::unexpected(damage_error("nothing is left in it"));
  } else {
    started = history->start();
  }
  if (started || !is_damage(started.error())) {
    if (!started) return std::unexpected(started.error());
    return history;
  }
  history.reset(new History(complete, clock));  // whatever was open of it is closed
  const Result<PutAside> aside = put_aside(options.path, clock.wall_ns());
  if (!aside) {
    spdlog::error("history: it cannot be put aside: {}", base::printable(aside.error().message));
    // Somebody else has it, or its place is not ours to touch: that comes first.
    return std::unexpected(aside.error().code != Error::Code::kSystem ? aside.error()
                                                                      : advise(options.path, started.error()));
  }
  const Error why = started.error();
  if (started = history->start(); !started) return std::unexpected(advise(options.path, started.error()));
  history->tell_put_aside(*aside, why);
  return history;
}

void History::tell_put_aside(const PutAside& aside, const Error& why) {
  const std::string text = fmt::format(
      "The history was damaged and lies at {} now; a new one begins: what it held is not in any answer.", aside.name);
  spdlog::error("{} ({})", base::printable(text), base::printable(why.message));
  const std::lock_guard lock(mutex_);
  const std::int64_t now = clock_.wall_ns();
  queue_gap({.cause = "history_damaged",
             .from_ns = aside.written_ns != 0 ? std::min(aside.written_ns, now) : now,
             .to_ns = now,
             .lost = std::nullopt,
             .text = text});
  changed_.notify_all();
}

/// Its connections are not to be trusted any more: the next opening puts the file aside.
void History::look_for_damage(const Error& error) {
  if (!is_damage(error) || damaged_.exchange(true)) return;
  mark_damaged(file_.path());
  spdlog::critical("{}: the worker ends, and puts it aside when it begins again", base::printable(error.message));
  if (options_.on_damage) options_.on_damage();
}

Result<void> History::start() {
  boot_id_ = options_.boot_id;
  auto file = HistoryFile::open(options_.path);
  if (!file) return std::unexpected(file.error());
  file_ = std::move(*file);
  auto db = Database::open(file_.path(), Database::Mode::kWrite);
  if (!db) return std::unexpected(db.error());
  // Before anything is written: a file that is newer or not ours stays as it is.
  if (auto r = check_schema(**db, file_.path()); !r) return r;
  if (auto r = (*db)->script(kWriterPragmas); !r) return r;
  {
    Cursor mode = (*db)->query(kJournalModeSql);
    auto row = mode.next();
    if (!row) return std::unexpected(row.error());
    if (!*row || mode.text(0) != "wal") {
      return fail(Error::Code::kUnavailable,
                  fmt::format("{} cannot have a write-ahead log: is it on a network file system?", file_.path()));
    }
  }
  auto prepared = prepare_schema(**db, file_.path(), clock_);
  if (!prepared && is_no_room(prepared.error()) && file_.drop_reserve())
    prepared = prepare_schema(**db, file_.path(), clock_);
  if (!prepared) return prepared;
  auto id = read_history_id(**db);
  if (!id) return std::unexpected(id.error());
  history_id_ = *id;
  // Before anything is appended, and opening flushes what was pending.
  auto epochs = begin_epoch(**db);
  if (!epochs) return std::unexpected(epochs.error());
  epochs_ = std::move(*epochs);
  auto store = Store::open(std::move(*db), options_, clock_);
  if (!store) return std::unexpected(store.error());
  store_ = std::move(*store);
  for (auto* reader : {&questions_, &exporters_}) {
    auto opened = Reader::open(file_.path(), options_.query_limit, clock_);
    if (!opened) return std::unexpected(opened.error());
    *reader = std::move(*opened);
  }
  auto status = questions_->status();
  if (!status) return std::unexpected(status.error());
  auto totals = questions_->totals();
  if (!totals) return std::unexpected(totals.error());
  auto ended = questions_->ended_well();
  if (!ended) return std::unexpected(ended.error());
  auto settled = questions_->settled(boot_id_);
  if (!settled) return std::unexpected(settled.error());
  last_batch_ = {static_cast<std::int64_t>((*totals)["last_batch_ns"]), *settled, status->worker, *ended};
  // A full disk must not keep the agent from starting: the writer tries again.
  if (auto flushed = store_->flush_all(); !flushed) {
    if (is_damage(flushed.error())) return std::unexpected(flushed.error());
    store_->forget();
    set_error(flushed.error().message);
  }
  if (auto held = store_->retain_holdings(boot_id_, [](const InstanceId&) { return true; }); !held) store_->forget();
  file_.make_reserve(options_.reserve_bytes);
  stored_counters_ = status->worker;
  copied_ns_ = clock_.wall_ns();
  next_maintenance_ = next_retention_ = std::chrono::steady_clock::now();
  writer_ = std::thread([this] { run(); });
  return {};
}

History::~History() { close(); }

void History::close() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  changed_.notify_all();
  if (writer_.joinable()) writer_.join();
  const std::lock_guard lock(store_mutex_);
  if (!store_) return;
  if (auto r = store_->mark_ended(); !r) store_->forget();
  (void)store_->checkpoint(true);
}

bool History::drain(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  urgent_ = true;
  changed_.notify_all();
  const bool done = drained_.wait_for(
      lock, timeout, [this] { return queue_.empty() && !overflowed_ && !busy_ && lost_.lost.value_or(0) == 0; });
  urgent_ = false;
  return done;
}

Result<std::vector<Holding>> History::all_holdings() { return checked(questions_->holders({}, 0)); }

Result<std::uint64_t> History::retain_holdings(const std::function<bool(const InstanceId&)>& alive) {
  const std::lock_guard lock(store_mutex_);
  auto done = checked(store_->retain_holdings(boot_id_, alive));
  if (!done) store_->forget();
  return done;
}

Result<void> History::open(const std::string& exporter, bool from_start) {
  const std::lock_guard lock(store_mutex_);
  auto done = checked(store_->open_exporter(exporter, from_start));
  if (!done) store_->forget();
  return done;
}

Result<std::vector<Row>> History::read(const std::string& exporter, std::uint64_t after_seq, std::size_t limit) {
  return checked(exporters_->after(exporter, after_seq, limit));
}

Result<void> History::settle(const std::string& exporter, std::uint64_t up_to_seq, std::uint64_t rejected) {
  const std::lock_guard lock(store_mutex_);
  auto done = checked(store_->settle(exporter, up_to_seq, rejected));
  if (!done) store_->forget();
  return done;
}

Result<ExportCounters> History::counters(const std::string& exporter) { return exporters_->counters(exporter); }

void History::on_append(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wakes_.push_back(std::move(wake));
}

void History::wake_exporters() {
  std::vector<std::function<void()>> wakes;
  {
    const std::lock_guard lock(mutex_);
    wakes = wakes_;
  }
  for (const auto& wake : wakes)
    wake();
}

void History::set_error(std::string error) {
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

Result<HistoryStatus> History::status() {
  auto status = checked(questions_->status());
  if (!status) return status;
  const std::lock_guard lock(mutex_);
  status->max_bytes = options_.max_bytes;
  status->wal_bytes = file_.log_bytes();
  status->queue = queued_rows_ + storing_rows_;
  status->unsaved_since_ns = storing_since_ns_;
  for (const Waiting& one : queue_)
    status->unsaved_since_ns = earlier_of(status->unsaved_since_ns, one.since_ns);
  status->queue_dropped += lost_.lost.value_or(0);
  status->error = error_.empty() ? copy_error_ : error_;
  return status;
}

}  // namespace keytrail::record
