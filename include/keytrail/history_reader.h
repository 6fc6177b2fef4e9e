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
  std::string workload;  ///< exact name, or a prefix ending in '*'
  std::string kind;      ///< key kind
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

struct WorkloadSummary {
  Workload workload;
  std::uint64_t processes = 0, long_lived = 0, short_lived = 0, encryption = 0;
  double uses_per_minute = 0;  ///< over the last 10 minutes
  std::uint64_t open_findings = 0;
};

struct HistoryStatus {
  std::int64_t oldest_ns = 0;  ///< oldest row; 0 = empty
  std::uint64_t rows = 0;      ///< ever appended
  std::uint64_t bytes = 0, max_bytes = 0, wal_bytes = 0;
  std::uint64_t queue = 0, queue_dropped = 0;
  WorkerCounters worker;  ///< totals as stored with the last batch
  std::map<std::string, ExportCounters> exporters;
  std::string error;  ///< "disk full since …", or empty
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
  virtual Result<std::vector<KeySummary>> keys(const HistoryFilter& filter) = 0;
  /// Where a key (`filter.key`, with its chain) was found, oldest first; at most `filter.limit` and one more.
  virtual Result<std::vector<KeyPlace>> places(const HistoryFilter& filter) = 0;
  /// Who took a key, each with its sums since it was first seen, also where the asked time cuts it.
  virtual Result<Page<KeyReader>> readers(const HistoryFilter& filter) = 0;
  virtual Result<std::vector<WorkloadSummary>> workloads(const HistoryFilter& filter) = 0;
  virtual Result<std::optional<Row>> row(std::uint64_t seq) = 0;
  virtual Result<HistoryStatus> status() = 0;
};

}  // namespace keytrail
