// SPDX-License-Identifier: Apache-2.0
// Port: from link and judge to the history. Implemented by record; a vector in unit tests.
#pragma once

#include <cstdint>
#include <optional>
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
  /// kEnd ends all holdings of the instance (actor.id), whatever the key; kDrop ends this one: the process has read
  /// another key from its slot.
  enum class Kind : std::uint8_t { kSet, kEnd, kDrop };
  Kind kind = Kind::kSet;
  Holding holding;
};

/// A 60 s sample: a connection of an already recorded use is still alive and sent payload. No row; it moves the edge's
/// `last`.
struct UseTouch {
  UseRow use;  ///< the same actor, keys, destination, evidence as the use that made the edge
};

/// A slot of a file got another key, or its first one. What is said of a rotation belongs to its slot: one key may
/// stand in several files. When it happened is known as an interval: after the slot was last seen with the old key,
/// before it was first seen with the new one. What a file says of its own times is no part of that.
struct SlotChange {
  /// Who means that file by its path: a container id, a unit (`unit:…`), "" = the machine; with `mnt:N` at its end,
  /// of these the processes of one mount namespace, where the path is another file.
  std::string scope;
  std::string place;          ///< path in it
  std::string selector;       ///< entry of a file that holds many keys, else empty
  std::int64_t time_ns = 0;   ///< Unix ns: first seen with the new key
  std::string old_id;         ///< key id; empty: no key of it was known
  std::string new_id;         ///< key id; empty: the slot is not followed any more
  std::int64_t after_ns = 0;  ///< Unix ns: last seen with the old key; 0 = not known
  [[nodiscard]] bool same_slot(const SlotChange& o) const {
    return place == o.place && selector == o.selector && scope == o.scope;
  }
};

/// Who took a key from a place, and how often: equal acquisitions summed. Equal are workload, program, users, session,
/// key and place.
struct KeyReader {
  Actor actor;  ///< the newest
  Key key;
  Slot slot;
  bool baseline = false;                   ///< the first was found by the sweep at start: it took it before `first`
  std::int64_t first_ns = 0, last_ns = 0;  ///< Unix ns
  std::uint64_t count = 0;                 ///< a process that reads an unchanged file again and again counts once
  std::vector<InstanceId> instances;       ///< newest last, at most 16
  bool instances_truncated = false;        ///< there were more
  std::uint64_t instances_cut = 0;  ///< how many left the list; one that comes back and leaves again counts again
  bool earlier_sessions = false;    ///< their sums are in these: only the newest are told apart
};

/// Who started a process that logs in over SSH, in one batch with its use: scp reads the file, its ssh calls. Or
/// (`handed`) who may have handed a key to it: `cat key | curl -T -`.
struct Child {
  InstanceId process, parent;
  bool handed = false;
};

/// What weakens claims about a process that holds keys, as link writes it (opaque here): it must outlive the worker.
/// Goes with the holdings of the instance.
struct Life {
  InstanceId id;
  std::string text;
};

/// Where a finding stands from now on. Record adds the revision of its row; one of a finding that is not known, or
/// stands there already, changes nothing.
struct FindingChange {
  std::string type, subject;  ///< of the FindingRow
  FindingState state = FindingState::kOpen;
  std::int64_t time_ns = 0;  ///< Unix ns
};

/// The warden's session, and the totals when it began.
struct SessionBase {
  std::string id;
  WorkerCounters counters;
};

/// A workload had a key at a slot.
struct Sighting {
  std::string key;  ///< id
  Slot slot;
  Workload workload;
  std::int64_t first_ns = 0;  ///< Unix ns
  std::string kind;           ///< of the key
  std::string session;        ///< of the first who had it there; an older history does not say
  std::string login_user;     ///< the same
  bool kept = false;          ///< somebody took it there who is no distributor
};

/// What earlier runs left for the stages to go on from: read once, at start.
struct Earlier {
  SessionBase session;            ///< id empty: none
  std::vector<SlotChange> slots;  ///< what each followed slot holds, as a change from nothing
  /// From one key to another, oldest first, where the slot did not get the old key back.
  std::vector<SlotChange> replaced;
  std::vector<Life> lives;
  std::vector<FindingChange> findings;  ///< that were told, oldest first
  std::vector<Sighting> sightings;      ///< the newest 4,096, oldest first
};

/// How far a batch is settled: whatever these families saw in this time is stored with it, or was before. What waits
/// (an examination, a use that is held back) ends it.
struct Watched {
  std::uint64_t from_boot_ns = 0, to_boot_ns = 0;  ///< ns since boot
  std::int64_t from_ns = 0, to_ns = 0;             ///< the same, Unix ns
  std::uint32_t families = 0;                      ///< a bit for each that was armed and gave a sign: 1 << Family
};

/// One transaction: rows, state, and the totals that make the accounting exact across crashes.
struct Batch {
  std::vector<Row> rows;     ///< acquisitions, findings, gaps, revisions; uses go to `uses`
  std::vector<UseRow> uses;  ///< observations; record coalesces them into windows and rows
  std::vector<UseTouch> touches;
  std::vector<KeyReader> readers;        ///< what was taken since the last batch
  std::vector<Child> children;           ///< for the judge, not stored
  std::vector<HoldingChange> holdings;   ///< in order
  std::vector<WorkloadFacts> workloads;  ///< facts that are news, in order
  std::vector<Life> lives;               ///< of instances with holdings
  std::vector<SlotChange> slot_changes;  ///< in order
  std::vector<FindingChange> findings;   ///< after `rows`
  std::optional<SessionBase> session;    ///< with the first batch of a session
  std::optional<Watched> watched;        ///< follows the one before without a hole, but for a restart
  WorkerCounters counters;               ///< totals at the end of this batch
};

class Recorder {
 public:
  virtual ~Recorder() = default;
  /// Hands a batch over; never blocks. When the bounded queue is full the rows are dropped, counted under
  /// "record_queue_full", and a gap row follows; state and counters are kept. Thread: the pipeline's.
  virtual void submit(Batch batch) = 0;
};

}  // namespace keytrail
