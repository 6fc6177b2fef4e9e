// SPDX-License-Identifier: Apache-2.0
// The rows of the history: append-only, immutable, one sequence for all kinds. What is learnt later is a revision row.
// Link and judge make them, record stores them, serve answers from them, exporters send them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "keytrail/destination.h"
#include "keytrail/evidence.h"
#include "keytrail/key.h"
#include "keytrail/process.h"
#include "keytrail/words.h"

namespace keytrail {

/// Who did it, as the rows keep it: a copy, because the process will be gone.
struct Actor {
  InstanceId id;
  std::string exe;      ///< executable path
  ExecutableFile file;  ///< which file that path was; two programs of one path differ in it
  /// What people know it by: the script of a `#!` program, "python3 run.py", else the executable's base name.
  std::string program;
  std::string comm;
  std::uint32_t uid = 0;
  std::string user;        ///< name (or number) of the user it runs as
  std::string login_user;  ///< who logged in (audit loginuid), or empty
  /// What it came in by: "login 17 by ssh from 192.0.2.7 on pts/3" (the audit session; also console, desktop, cron,
  /// at; the address is what the session says), "pts/3 without a login uid", "exec" (into a container that ran already:
  /// kubectl exec, docker exec; "exec on pts/0"), "as root by sudo, postgres by su", "agent claude code" (started by
  /// that), "distributor Terraform" (writes keys elsewhere or hands them on), "namespaces of NAME" (whose mount
  /// namespace it is in, where that is not its own: nsenter), or several with ", " between; else empty.
  std::string session;
  Workload workload;
};

/// A key crossed a boundary into a process, and that is news for the workload, user, executable or content.
struct AcquisitionRow {
  Actor actor;
  Key key;  ///< id empty when `unread` is set and nothing is known of the key
  Slot slot;
  /// Empty, or why the key is not known: "gone", "changed", "refused", "timeout", "too large", "unknown format".
  std::string unread;
  bool bulk = false;      ///< by a bulk reader (backup): says little about use
  bool baseline = false;  ///< found by the sweep at start: held since before `time`
};

/// One of the keys a use may have used, best first.
struct Candidate {
  Key key;
  Slot slot;
  Reason reason = Reason::kOnlyKeyHeld;  ///< why it fits, or why it is not sure
  std::string scope;                     ///< of its file: see SlotChange; for the judge, not stored
};

enum class Outcome : std::uint8_t { kUnknown = 0, kOk = 1, kRefused = 2, kFailed = 3 };

/// A process that holds keys called a destination that accepts them. One row is a window of equal uses.
struct UseRow {
  Actor actor;
  std::vector<Candidate> keys;  ///< one for confirmed and inferred; the ranked list for possible; none for unattributed
  Destination destination;
  Outcome outcome = Outcome::kUnknown;
  Evidence evidence = Evidence::kUnattributed;
  Reason reason = Reason::kNoKeySeen;
  std::string reason_detail;  ///< "profile prod", "1 of 2 AWS keys": no secret, ≤ 200 bytes
  std::string via;            ///< a relay's name, or empty
  std::int64_t first_ns = 0;  ///< Unix ns
  std::int64_t last_ns = 0;
  std::uint64_t connections = 1;
  std::optional<std::uint64_t> requests;  ///< where seen
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
};

enum class Severity : std::uint8_t { kInfo = 0, kLow = 1, kMedium = 2, kHigh = 3 };

/// Where a finding stands. It begins open.
enum class FindingState : std::uint8_t { kOpen = 0, kResolved = 1, kAccepted = 2 };

/// Something a person should look at.
struct FindingRow {
  std::string type;  ///< "old_key_in_use", "key_in_arguments"
  Severity severity = Severity::kMedium;
  std::string text;                 ///< one sentence
  std::vector<std::string> attack;  ///< ATT&CK ids
  Actor actor;
  Key key;
  Slot slot;
  std::string subject;                       ///< what makes two findings of a type the same one
  FindingState state = FindingState::kOpen;  ///< where it stands when it is read; not stored with the row
};

/// Cause of the gaps of key files that were opened and not read or not understood: any of them may have held the key
/// that is asked for.
inline constexpr char kFilesUnread[] = "files_unread";

/// A period or count in which something may be missing.
struct GapRow {
  /// The kernel side's losses: "ring_full", "budget", "read_fault", "scratch"; and "worker_restart", "agent_restart",
  /// "examiner_restart", "baseline", "disk_full", "storage_error"; "warden_silent", "hook_silent", "worker_stalled",
  /// "examiner_stalled": it gave no sign for 10 s; "opener_stalled": it was stopped, or did not begin within 1 s;
  /// "hook_detached", "map_changed": somebody changed the kernel side; "history_damaged": the one before was put aside;
  /// and what link gave up ("holdings_over_bound", "arguments_cut", …).
  std::string cause;
  std::string family;        ///< hook family, or empty for all
  std::int64_t from_ns = 0;  ///< Unix ns
  std::int64_t to_ns = 0;
  std::optional<std::uint64_t> lost;  ///< exact count; absent = unknown
  std::string text;                   ///< one sentence
  /// The workload that it concerns, by its name then, or "cgroup PATH": whatever is in there; empty = the whole node.
  std::string scope;
  std::string detail;              ///< of files_unread: why, as in AcquisitionRow::unread; else empty
  std::vector<std::string> kinds;  ///< the only kinds of key that it can concern; empty = any
};

/// What a revision says anew.
enum class Revised : std::uint8_t { kKey = 0, kEvidence = 1, kState = 2, kBytes = 3, kWorkload = 4 };

/// Later knowledge of an earlier row, or (kWorkload) of a workload that earlier rows may name.
struct RevisionRow {
  std::uint64_t of_seq = 0;
  Revised what = Revised::kKey;
  /// kState: the word of a FindingState; kBytes: empty; kWorkload: the facts that were learnt, as people read them.
  std::string value;
  /// kBytes: what the calls of that row moved afterwards. No other row has it: sums over uses and revisions are whole.
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  Workload workload;  ///< kWorkload: of whom, with all that is known; else without an id
};

/// The kinds of rows, in the order of `Row::body`.
enum class RowKind : std::uint8_t { kAcquisition = 1, kUse = 2, kFinding = 3, kGap = 4, kRevision = 5 };

struct Row {
  std::uint64_t seq = 0;         ///< given by the history; 0 before it is stored
  std::int64_t time_ns = 0;      ///< Unix ns: when it happened
  std::int64_t observed_ns = 0;  ///< Unix ns: when the agent knew
  std::variant<AcquisitionRow, UseRow, FindingRow, GapRow, RevisionRow> body;
};

template <>
inline constexpr auto kWords<Outcome> = words<Outcome>({
    {Outcome::kUnknown, "unknown"},
    {Outcome::kOk, "ok"},
    {Outcome::kRefused, "refused"},
    {Outcome::kFailed, "failed"},
});

template <>
inline constexpr auto kWords<Severity> = words<Severity>({
    {Severity::kInfo, "info"},
    {Severity::kLow, "low"},
    {Severity::kMedium, "medium"},
    {Severity::kHigh, "high"},
});

template <>
inline constexpr auto kWords<Revised> = words<Revised>({
    {Revised::kKey, "key"},
    {Revised::kEvidence, "evidence"},
    {Revised::kState, "state"},
    {Revised::kBytes, "bytes"},
    {Revised::kWorkload, "workload"},
});

template <>
inline constexpr auto kWords<FindingState> = words<FindingState>({
    {FindingState::kOpen, "open"},
    {FindingState::kResolved, "resolved"},
    {FindingState::kAccepted, "accepted"},
});

template <>
inline constexpr auto kWords<RowKind> = words<RowKind>({
    {RowKind::kAcquisition, "acquisition"},
    {RowKind::kUse, "use"},
    {RowKind::kFinding, "finding"},
    {RowKind::kGap, "gap"},
    {RowKind::kRevision, "revision"},
});

[[nodiscard]] constexpr RowKind kind_of(const Row& row) { return static_cast<RowKind>(row.body.index() + 1); }

}  // namespace keytrail
