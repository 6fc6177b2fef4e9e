// SPDX-License-Identifier: Apache-2.0
// Port: from link and judge to the history. Implemented by record; a vector in unit tests.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "keytrail/accounting.h"
#include "keytrail/row.h"

namespace keytrail {

/// A process instance has a key: durable state, no row. Removed when the instance ends.
struct Holding {
  Actor actor;
  Key key;
  Slot slot;
  std::int64_t since_ns = 0;     ///< Unix ns
  std::int64_t last_use_ns = 0;  ///< Unix ns; 0 = never seen used
  How how = How::kDirect;
  bool slot_changed = false;  ///< its slot holds another key by now, and it has not read it
};

struct HoldingChange {
  enum class Kind : std::uint8_t { kSet, kEnd };  ///< kEnd ends all holdings of the instance (actor.id), whatever the key
  Kind kind = Kind::kSet;
  Holding holding;
};

/// A 60 s sample: a connection of an already recorded use is still alive and sent payload. No row; it moves the edge's `last`.
struct UseTouch {
  UseRow use;  ///< the same actor, keys, destination, evidence as the use that made the edge
};

/// One transaction: rows, state, and the totals that make the accounting exact across crashes.
struct Batch {
  std::vector<Row> rows;     ///< acquisitions, findings, gaps, revisions; uses go to `uses`
  std::vector<UseRow> uses;  ///< observations; record coalesces them into windows and rows
  std::vector<UseTouch> touches;
  std::vector<HoldingChange> holdings;       ///< in order
  WorkerCounters counters;                   ///< totals at the end of this batch
  std::map<std::string, std::string> state;  ///< key → value to store beside it ("session", "slot:…"); empty value deletes
  [[nodiscard]] bool empty() const { return rows.empty() && uses.empty() && touches.empty() && holdings.empty() && state.empty(); }
};

class Recorder {
 public:
  virtual ~Recorder() = default;
  /// Hands a batch over; never blocks. When the bounded queue is full the rows are dropped, counted under "record_queue_full",
  /// and a gap row follows; holdings and counters are kept. Thread: the pipeline's.
  virtual void submit(Batch batch) = 0;
};

}  // namespace keytrail
