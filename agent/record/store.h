// SPDX-License-Identifier: Apache-2.0
// The writing side of the history: batches become rows, edges, holdings and totals in one transaction each. One thread
// at a time (History locks). After any error the caller calls `forget()`: memory follows what the file holds, and the
// batch can be tried again.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "agent/record/coalescer.h"
#include "agent/record/dictionary.h"
#include "agent/record/options.h"
#include "agent/record/sqlite.h"
#include "keytrail/clock.h"
#include "keytrail/recorder.h"

namespace keytrail::record {

class Store {
 public:
  /// `db` is open for writing and has the schema. Reads what the file holds; flushes what was pending.
  static Result<std::unique_ptr<Store>> open(std::unique_ptr<Database> db, const HistoryOptions& options,
                                             const Clock& clock);

  /// Stores batches, in order, in one transaction. `lost`, if any, becomes a gap row and is added to the total of
  /// dropped rows. Returns the number of rows appended.
  Result<std::uint64_t> apply(std::span<const Batch> batches, const std::optional<GapRow>& lost);
  /// Closes the windows that are over. Returns the number of rows appended.
  Result<std::uint64_t> tick();
  /// Flushes all pending uses.
  Result<std::uint64_t> flush_all();
  /// The run of the agent ended well.
  Result<void> mark_ended();
  /// Removes holdings of another boot and those of this boot for which `alive` is false. Returns how many.
  Result<std::uint64_t> retain_holdings(const std::string& boot_id,
                                        const std::function<bool(const InstanceId&)>& alive);
  void forget();

  /// One chunk of retention by age, by size, and of what nothing needs any more. True when there is more to do.
  Result<bool> retain();
  /// True when a tenth or less of the size bound is left.
  Result<bool> crowded();
  struct Room {
    std::uint64_t rows = 0;  ///< that went
    bool told = false;       ///< the gap `evicted` tells of them
  };
  /// Removes a twentieth of the rows, the oldest, and what they alone needed. While the disk is full of other files
  /// and this one is not near its own bound (or `gently`): only of those that every exporter has passed.
  Result<Room> make_room(bool gently = false);
  /// When the oldest row happened (Unix ns); 0 = there is none.
  Result<std::int64_t> oldest_ns();
  /// Removes the `count` oldest rows; rows that an exporter has not passed count as expired there. Returns how many
  /// went.
  Result<std::uint64_t> remove_oldest(std::uint64_t count);
  /// Copies the log into the file. `hard` waits a moment for readers and empties the log.
  Result<void> checkpoint(bool hard);
  /// Copies the log when it has grown by some megabytes since the last time. False: it was not due.
  Result<bool> checkpoint_if_due();
  /// Keeps the file from growing (disk full), or lets it grow to its bound again.
  Result<void> hold_size(bool hold);

  Result<void> open_exporter(const std::string& name, bool from_start);
  Result<void> settle(const std::string& name, std::uint64_t up_to_seq, std::uint64_t rejected);

  [[nodiscard]] Database& db() { return *db_; }
  [[nodiscard]] std::int64_t next_window_end_ns() const { return coalescer_.next_end_ns(); }

 private:
  Store(std::unique_ptr<Database> db, const HistoryOptions& options, const Clock& clock);

  // row_store.cpp
  std::uint64_t appended();
  Result<std::uint64_t> append(const Row& row);
  Result<std::uint64_t> append_use(const EdgeState& edge, const Amount& amount);
  /// What the calls of the edge's last row moved afterwards.
  Result<std::uint64_t> append_bytes(const EdgeState& edge, const Amount& amount);
  /// Facts of a workload that rows may name: exporters tell them, so that a name learnt late reaches what was sent.
  Result<std::uint64_t> append_news(std::int64_t workload, const std::string& facts);
  struct ActorIds {
    std::int64_t workload = 0, program = 0;
  };
  Result<ActorIds> intern(const Actor& actor);
  /// `taken`: it was seen to take it, not only to have it.
  Result<void> note_sighting(const Key& key, const Slot& slot, const Actor& actor, std::int64_t at_ns, bool taken);
  Result<void> note_finding(const FindingRow& row, std::int64_t time_ns, std::uint64_t seq);

  // edge_store.cpp
  Result<EdgeState*> edge_for(const UseRow& use);
  Result<EdgeState*> edge_for(const EdgeIdentity& identity, const Latest& latest, std::int64_t first_ns);
  Result<EdgeState> load_or_create(const EdgeIdentity& identity, const Latest& latest, std::int64_t first_ns);
  Result<void> load_open_windows();
  Result<void> save(const EdgeState& edge);
  Result<void> emit(EdgeState& edge, const std::optional<Amount>& amount);
  Result<void> observe(const UseRow& use, bool touch);
  Result<void> close_due();
  Result<void> limit_open_windows();
  Result<void> save_dirty();

  // reader_store.cpp
  Result<void> observe(const KeyReader& reader);
  Result<void> sum_sessions(std::int64_t edge);
  Result<void> sum_acquisitions();

  // state_store.cpp
  Result<void> apply_state(const Batch& batch);
  Result<void> change_slot(const SlotChange& change);
  Result<void> change_finding(const FindingChange& change);
  Result<void> begin_session(const SessionBase& session);
  Result<void> mark_running();

  // watched.cpp
  Result<void> note_watched(const Watched& watched);
  Result<void> note_removed(std::uint64_t last_seq);
  Result<void> limit_watched();

  // store.cpp
  Result<void> apply_one(const Batch& batch);
  Result<void> end_instance(const InstanceId& id, std::int64_t at_ns);
  Result<void> change_holding(const HoldingChange& change);
  Result<void> touch_holdings(const EdgeState& edge, const UseRow& use);
  Result<void> store_totals(const WorkerCounters& counters);
  /// `sql` takes a name and a value.
  Result<void> set_counters(const char* sql, const WorkerCounters& counters);
  Result<void> add_total(const char* name, std::uint64_t value);
  Result<std::uint64_t> clean(std::int64_t before_ns);
  /// In the open transaction: these rows go, and count as expired where an exporter has not passed them.
  Result<void> remove_up_to(std::uint64_t last_seq);  // retention.cpp
  void give_back();
  static int on_commit(void* self, sqlite3* db, const char* name, int frames);
  Result<std::uint64_t> in_transaction(const std::function<Result<void>()>& work);

  std::unique_ptr<Database> db_;
  const HistoryOptions options_;
  const Clock& clock_;
  Dictionary dictionary_;
  Coalescer coalescer_;
  std::set<EdgeState*> dirty_;
  std::vector<std::int64_t> new_readers_;  ///< edges that the open transaction made
  std::uint64_t appended_ = 0;             ///< rows of the open transaction
  std::uint64_t next_seq_ = 1;
  std::int64_t now_ns_ = 0;         ///< Unix ns of the open transaction
  std::int64_t counted_ns_ = 0;     ///< since then, Unix ns, …
  std::uint64_t counted_rows_ = 0;  ///< … so many rows were appended
  std::uint64_t chunks_ = 0;        ///< of retention
  int log_pages_ = 0;               ///< in the write-ahead log
  int copied_pages_ = 0;            ///< of them, when it was last copied
  std::chrono::steady_clock::time_point next_hard_;
  bool marked_running_ = false;  ///< the file says that an agent runs
  bool rows_removed_ = false;    ///< dictionaries may hold what nothing needs
};

}  // namespace keytrail::record
