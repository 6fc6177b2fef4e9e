// SPDX-License-Identifier: Apache-2.0
// Answers from the history on a read-only connection. Each call is one short read transaction with a time limit; calls
// wait for each other.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "agent/record/dictionary_view.h"
#include "agent/record/sqlite.h"
#include "keytrail/clock.h"
#include "keytrail/history_reader.h"

namespace keytrail::record {

/// A mutex that lets callers in by their order, so that one who asks without pause does not keep the others out.
class FairMutex {
 public:
  void lock() {
    std::unique_lock lock(mutex_);
    const std::uint64_t mine = next_++;
    turn_.wait(lock, [&] { return serving_ == mine; });
  }
  void unlock() {
    {
      const std::lock_guard lock(mutex_);
      ++serving_;
    }
    turn_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable turn_;
  std::uint64_t next_ = 0, serving_ = 0;
};

/// All that was seen before is stored.
struct Settled {
  std::uint64_t boot_ns = 0;  ///< ns since boot
  std::int64_t wall_ns = 0;   ///< Unix ns
};

class Reader {
 public:
  static Result<std::unique_ptr<Reader>> open(const std::string& path, std::chrono::milliseconds limit,
                                              const Clock& clock);

  Result<Page<Row>> rows(const HistoryFilter& filter, RowKinds kinds);
  Result<Page<Edge>> edges(const HistoryFilter& filter);
  /// `limit` 0 = all.
  Result<std::vector<Holding>> holders(const HistoryFilter& filter, std::size_t limit);
  Result<std::vector<KeySummary>> keys(const HistoryFilter& filter);
  Result<std::vector<KeyPlace>> places(const HistoryFilter& filter);
  Result<Page<KeyReader>> readers(const HistoryFilter& filter);
  Result<std::vector<WorkloadSummary>> workloads(const HistoryFilter& filter);
  Result<std::optional<Row>> row(std::uint64_t seq);
  Result<std::vector<WatchedSpan>> watched();
  /// How far this boot's events are stored; zeros: nothing of it is.
  Result<Settled> settled(const std::string& boot_id);
  /// What the file knows; queue, size bound, log and error are History's.
  Result<HistoryStatus> status();
  /// What the stages go on from after a restart.
  Result<Earlier> earlier();
  /// False: the last run of the agent left without its end.
  Result<bool> ended_well();
  /// Rows after the exporter's cursor and after `after_seq`.
  Result<std::vector<Row>> after(const std::string& exporter, std::uint64_t after_seq, std::size_t limit);
  /// Rows after `after_seq`, whatever any cursor says.
  Result<std::vector<Row>> any(std::uint64_t after_seq, std::size_t limit);
  Result<ExportCounters> counters(const std::string& exporter);
  Result<std::map<std::string, std::uint64_t>> totals();

 private:
  Reader(std::unique_ptr<Database> db, std::chrono::milliseconds limit, const Clock& clock)
      : db_(std::move(db)), limit_(limit), clock_(clock) {}
  /// Runs `work` in a read transaction under the limit.
  template <typename T, typename Work>
  Result<T> reading(Work work);
  Result<std::vector<Holding>> read_holdings(const HistoryFilter& filter, std::size_t limit);
  Result<std::map<std::string, std::uint64_t>> read_totals();
  static int over_limit(void* self);

  std::unique_ptr<Database> db_;
  std::chrono::milliseconds limit_;
  const Clock& clock_;
  FairMutex mutex_;
  std::chrono::steady_clock::time_point deadline_;
};

template <typename T, typename Work>
Result<T> Reader::reading(Work work) {
  const std::lock_guard lock(mutex_);
  deadline_ = std::chrono::steady_clock::now() + limit_;
  auto transaction = Transaction::begin(*db_, false);
  if (!transaction) return std::unexpected(transaction.error());
  return work();
}

/// Acquisition rows after `after_seq`, at most `limit`; in the caller's transaction.
[[nodiscard]] Result<std::vector<Row>> read_acquisitions(Database& db, std::uint64_t after_seq, std::size_t limit);

/// The end of a filter's time, Unix ns.
[[nodiscard]] inline std::int64_t end_of(const HistoryFilter& filter) {
  return filter.to_ns == 0 ? INT64_MAX : filter.to_ns;
}

/// The numbers of the workloads that a filter asks for, as a JSON array; "" = any. In the caller's transaction. What is
/// known of them today decides, so that what was stored before a name was known is found by it.
[[nodiscard]] Result<std::string> workload_numbers(Database& db, const HistoryFilter& filter);
[[nodiscard]] inline int lifetime_bits(const HistoryFilter& filter) {
  return filter.lifetime ? 1 << static_cast<int>(*filter.lifetime) | 1 << static_cast<int>(Lifetime::kUnknown) : -1;
}
/// "aws / s3 / eu-west-1"; a place that no catalog knows by its host or address.
[[nodiscard]] std::string place_of(const Destination& destination);

/// Takes a stored total ("received", "dropped:REASON"); others are left alone.
void set_counter(WorkerCounters& out, const std::string& name, std::uint64_t value);

/// Checks what no filter may hold.
Result<void> check(const HistoryFilter& filter);

}  // namespace keytrail::record
