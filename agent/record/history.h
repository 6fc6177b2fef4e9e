// SPDX-License-Identifier: Apache-2.0
// The history: what the pipeline hands over becomes durable rows, exporters tail them, serve asks them. One writer
// thread, started by `open`, joined by `close`; three connections (writer, questions, exporters). All public functions
// may be called from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/record/history_file.h"
#include "agent/record/options.h"
#include "agent/record/put_aside.h"
#include "agent/record/reader.h"
#include "agent/record/store.h"
#include "keytrail/history_reader.h"
#include "keytrail/recorder.h"
#include "keytrail/row_queue.h"

namespace keytrail::record {

/// Unix ns; 0 = none.
inline std::int64_t earlier_of(std::int64_t a, std::int64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

/// What the history knew when it was opened: where the last run ended. For the gap of a restart and to go on counting.
struct LastBatch {
  std::int64_t wall_ns = 0;  ///< Unix ns of the last committed batch; 0 = a new history
  Settled settled;           ///< of this boot
  WorkerCounters counters;   ///< totals stored with it
  bool clean_stop = false;   ///< `close` was reached
};

class History final : public Recorder, public RowQueue, public HistoryReader {
 public:
  /// Opens or creates the history and starts the writer. Errors are sentences for the operator: wrong owner or mode,
  /// locked by another process, of a newer version. A damaged one is put aside, and a gap of the new one says so.
  static Result<std::unique_ptr<History>> open(const HistoryOptions& options, const Clock& clock);
  ~History() override;

  /// Stores what is queued and stops the writer. Further batches are dropped. Called by the destructor.
  void close();
  /// Waits until all that was submitted is stored; false after `timeout`.
  bool drain(std::chrono::milliseconds timeout);
  [[nodiscard]] const LastBatch& last_batch() const { return last_batch_; }
  /// What earlier runs left beside rows and holdings, for the stages to go on from.
  Result<Earlier> earlier() { return questions_->earlier(); }
  /// All holdings of this boot, for link to adopt at start.
  Result<std::vector<Holding>> all_holdings();
  /// Ends the holdings of processes for which `alive` is false (they died while the agent was down). Returns how many
  /// instances went.
  Result<std::uint64_t> retain_holdings(const std::function<bool(const InstanceId&)>& alive);

  // Recorder
  void submit(Batch batch) override;

  // RowQueue
  [[nodiscard]] std::array<std::uint8_t, 16> history_id() const override { return history_id_; }
  [[nodiscard]] std::vector<RowEpoch> epochs() const override { return epochs_; }
  Result<std::vector<Row>> read_any(std::uint64_t after_seq, std::size_t limit) override {
    return checked(exporters_->any(after_seq, limit));
  }
  Result<void> open(const std::string& exporter, bool from_start) override;
  Result<std::vector<Row>> read(const std::string& exporter, std::uint64_t after_seq, std::size_t limit) override;
  Result<void> settle(const std::string& exporter, std::uint64_t up_to_seq, std::uint64_t rejected) override;
  [[nodiscard]] Result<ExportCounters> counters(const std::string& exporter) override;
  void on_append(std::function<void()> wake) override;

  // HistoryReader
  Result<Page<Row>> rows(const HistoryFilter& filter, RowKinds kinds) override {
    return checked(questions_->rows(filter, kinds));
  }
  Result<Page<Edge>> edges(const HistoryFilter& filter) override { return checked(questions_->edges(filter)); }
  Result<std::vector<Holding>> holders(const HistoryFilter& filter) override {
    return checked(questions_->holders(filter, filter.limit));
  }
  Result<std::vector<KeySummary>> keys(const HistoryFilter& filter) override {
    return checked(questions_->keys(filter));
  }
  Result<std::vector<KeyPlace>> places(const HistoryFilter& filter) override {
    return checked(questions_->places(filter));
  }
  Result<Page<KeyReader>> readers(const HistoryFilter& filter) override { return checked(questions_->readers(filter)); }
  Result<std::vector<WorkloadSummary>> workloads(const HistoryFilter& filter) override {
    return checked(questions_->workloads(filter));
  }
  Result<std::optional<Row>> row(std::uint64_t seq) override { return checked(questions_->row(seq)); }
  Result<std::vector<WatchedSpan>> watched() override { return checked(questions_->watched()); }
  Result<HistoryStatus> status() override;
  std::optional<BatchNumbers> batches() override {
    const std::lock_guard lock(mutex_);
    return BatchNumbers{submitted_, stored_};
  }

 private:
  History(const HistoryOptions& options, const Clock& clock) : options_(options), clock_(clock) {}
  struct Waiting {
    Batch batch;
    std::int64_t since_ns = 0;  ///< Unix ns since when its rows wait; 0 = it has none
    std::uint64_t number = 0;   ///< counted from 1; 0 = the history's own
  };
  Result<void> start();
  void tell_put_aside(const PutAside& aside, const Error& why);
  void look_for_damage(const Error& error);
  template <typename Answer>
  Answer checked(Answer answer) {
    if (!answer) look_for_damage(answer.error());
    return answer;
  }
  void run();
  std::vector<Batch> take(std::unique_lock<std::mutex>& lock);
  void store(std::vector<Batch> batches);
  void maintain();
  void after_commit(bool look);
  bool recover(const Error& error, int attempt);
  void look_for_room();
  bool give_up(std::vector<Batch>& batches, const Error& error, int attempt);
  void drop_rows(Batch& batch, const char* cause);
  void queue_gap(GapRow gap);
  void note_evicted(std::uint64_t rows, std::int64_t from_ns, std::int64_t to_ns);
  void keep_state(Batch& batch);
  void admit_overflow();
  void set_error(std::string error);
  void wake_exporters();

  const HistoryOptions options_;
  const Clock& clock_;
  HistoryFile file_;
  std::array<std::uint8_t, 16> history_id_{};
  std::vector<RowEpoch> epochs_;
  LastBatch last_batch_;
  std::string boot_id_;

  std::atomic<bool> damaged_ = false;

  std::mutex store_mutex_;  ///< guards `store_`
  std::unique_ptr<Store> store_;
  std::unique_ptr<Reader> questions_, exporters_;

  std::mutex mutex_;  ///< guards all below
  std::condition_variable changed_, drained_;
  std::deque<Waiting> queue_;
  std::size_t queued_rows_ = 0, storing_rows_ = 0;
  std::int64_t storing_since_ns_ = 0;  ///< Unix ns since when the oldest of what is being stored waits; 0 = none does
  std::uint64_t submitted_ = 0, storing_ = 0, stored_ = 0;  ///< numbers of batches
  Waiting overflow_;                                        ///< state and counters of batches whose rows were dropped
  bool overflowed_ = false;
  GapRow lost_;                     ///< what was dropped since the last gap row; `lost` 0 = nothing
  std::int64_t lost_later_ns_ = 0;  ///< oldest of what was dropped since that gap row was begun; 0 = nothing was
  std::optional<GapRow> evicted_;   ///< rows removed for want of room that no gap row tells of yet
  bool busy_ = false, stopping_ = false, urgent_ = false;
  std::string error_, copy_error_;
  std::int64_t copied_ns_ = 0;  ///< Unix ns of the last good copy of the log
  std::uint64_t holdings_dropped_ = 0;
  WorkerCounters stored_counters_;  ///< of the last committed batch
  std::vector<std::function<void()>> wakes_;
  // Writer thread only.
  bool no_room_ = false;   ///< the disk is full
  bool hopeless_ = false;  ///< a batch does not fit an empty history
  std::chrono::steady_clock::time_point next_maintenance_, next_retention_;
  std::thread writer_;
};

}  // namespace keytrail::record
