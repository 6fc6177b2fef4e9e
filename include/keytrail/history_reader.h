// SPDX-License-Identifier: Apache-2.0
// Port: questions to the history. Implemented by record, asked by serve. Each call reads one page in its own short
// transaction.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "keytrail/accounting.h"
#include "keytrail/recorder.h"
#include "keytrail/result.h"
#include "keytrail/row.h"

namespace keytrail {

/// What is asked for; empty fields do not restrict. Times are Unix ns, [from, to).
struct HistoryFilter {
  std::string key;  ///< key id; matches a row that lists it, or (with `chain`) keys issued from it
  bool chain = true;
  std::string workload;  ///< as agent/base/workload_pattern.h takes it; what it means is decided by today's facts
  std::string kind;      ///< key kind
  std::optional<Lifetime> lifetime;  ///< of the key; those of which it is not known are given, too
  std::string provider, service, host;
  std::string finding_type;
  std::optional<Evidence> evidence;
  std::uint32_t pid = 0;
  std::int64_t from_ns = 0;
  std::int64_t to_ns = 0;       ///< 0 = now
  std::uint64_t after_seq = 0;  ///< cursor
  std::size_t limit = 500;      ///< 1 to 10,000
};

/// Rows that are to be returned by `rows`.
struct RowKinds {
  bool acquisitions = true, uses = true, findings = true, gaps = true, revisions = true;

  void set(RowKind kind) {
    acquisitions = acquisitions || kind == RowKind::kAcquisition;
    uses = uses || kind == RowKind::kUse;
    findings = findings || kind == RowKind::kFinding;
    gaps = gaps || kind == RowKind::kGap;
    revisions = revisions || kind == RowKind::kRevision;
  }
};

/// Equal uses summed: workload, executable, key set, destination, action, outcome, evidence.
struct Edge {
  UseRow use;                         ///< with first, last, and total counts
  std::uint64_t last_seq = 0;         ///< newest row of this edge, for `explain`
  std::vector<InstanceId> instances;  ///< newest last, at most 16
  bool instances_truncated = false;
  std::uint64_t instances_cut = 0;  ///< how many left the list; one that comes back and leaves again counts again
};

/// A key with what the history knows of it.
struct KeySummary {
  Key key;
  std::int64_t first_seen_ns = 0;
  std::vector<Slot> slots;  ///< where it was seen, oldest first, at most 64
  std::vector<std::string> workloads;
  std::uint64_t holders = 0;           ///< live processes that hold it
  std::int64_t last_use_ns = 0;        ///< 0 = never
  std::vector<std::string> used_for;   ///< "aws / s3 / eu-west-1"
  std::string replaced_by;             ///< key id that took its slot, or empty
  std::int64_t replaced_ns = 0;        ///< first seen with that one
  std::int64_t replaced_after_ns = 0;  ///< last seen with this one; 0 = not known
};

/// A place where a key was found.
struct KeyPlace {
  Key key;
  Slot slot;
  std::int64_t first_ns = 0, last_ns = 0;  ///< of the reads
  Actor by;                                ///< who read it last; no program when only the workload is known
  std::string replaced_by;                 ///< key id that the place holds by now, or empty
  std::int64_t replaced_ns = 0;
};

/// How many keys of one class and lifetime.
struct KeyCount {
  KeyClass key_class = KeyClass::kAccessKey;
  Lifetime lifetime = Lifetime::kUnknown;
  std::uint64_t count = 0;
};

/// Workloads that are shown alike, like the pods of one deployment.
struct WorkloadSummary {
  Workload workload;             ///< the one that was seen last
  std::vector<std::string> ids;  ///< of all, at most 64
  std::uint64_t ids_total = 0;
  std::uint64_t processes = 0;  ///< live, with keys
  /// Keys that it had in the asked time. Encryption keys and certificates count as `encryption` alone.
  std::uint64_t long_lived = 0, short_lived = 0, unknown_lifetime = 0, encryption = 0;
  std::vector<KeyCount> keys;             ///< the same, by class and lifetime
  std::vector<Slot> sources;              ///< where they came from, oldest first, at most 64
  std::vector<std::string> destinations;  ///< "aws / s3 / eu-west-1", oldest first, at most 64
  std::int64_t first_seen_ns = 0;         ///< with a key, or calling somebody
  std::int64_t last_seen_ns = 0;
  double uses_per_minute = 0;  ///< over the last 10 minutes
  std::uint64_t open_findings = 0;
};

/// A period that was watched by one hook family without a hole, and is stored. Unix ns.
struct WatchedSpan {
  Family family = Family::kExec;
  std::int64_t from_ns = 0, to_ns = 0;
};

struct HistoryStatus {
  std::int64_t oldest_ns = 0;      ///< oldest row; 0 = empty
  std::int64_t kept_since_ns = 0;  ///< what happened before was removed; 0 = nothing was
  std::uint64_t rows = 0;          ///< ever appended
  std::uint64_t bytes = 0, max_bytes = 0, wal_bytes = 0;
  std::uint64_t queue = 0, queue_dropped = 0;  ///< rows that are not stored yet, rows that found no place
  std::int64_t unsaved_since_ns = 0;           ///< Unix ns: so long the oldest of them waits; 0 = none does
  WorkerCounters worker;                       ///< totals as stored with the last batch
  std::map<std::string, ExportCounters> exporters;
  std::string error;  ///< "disk full since …", or empty
};

/// Batches are counted as they are handed over, and stored in that order.
struct BatchNumbers {
  std::uint64_t submitted = 0;  ///< the last that was handed over
  std::uint64_t stored = 0;     ///< all up to this one are stored
};

template <typename T>
struct Page {
  std::vector<T> items;
  std::uint64_t next = 0;  ///< `after_seq` of the next page; 0 = no more
};

class HistoryReader {
 public:
  virtual ~HistoryReader() = default;
  virtual Result<Page<Row>> rows(const HistoryFilter& filter, RowKinds kinds) = 0;
  virtual Result<Page<Edge>> edges(const HistoryFilter& filter) = 0;
  virtual Result<std::vector<Holding>> holders(const HistoryFilter& filter) = 0;
  /// At most `filter.limit` and one more.
  virtual Result<std::vector<KeySummary>> keys(const HistoryFilter& filter) = 0;
  /// Where a key (`filter.key`, with its chain) was found, oldest first; at most `filter.limit` and one more.
  virtual Result<std::vector<KeyPlace>> places(const HistoryFilter& filter) = 0;
  /// Who took a key, each with its sums since it was first seen, also where the asked time cuts it.
  virtual Result<Page<KeyReader>> readers(const HistoryFilter& filter) = 0;
  /// By name; at most `filter.limit` and one more.
  virtual Result<std::vector<WorkloadSummary>> workloads(const HistoryFilter& filter) = 0;
  virtual Result<std::optional<Row>> row(std::uint64_t seq) = 0;
  /// All watched time that is still kept, by family and time.
  virtual Result<std::vector<WatchedSpan>> watched() = 0;
  virtual Result<HistoryStatus> status() = 0;
  /// Quick. Nothing: nobody hands batches over here.
  virtual std::optional<BatchNumbers> batches() { return std::nullopt; }
};

}  // namespace keytrail
