// SPDX-License-Identifier: Apache-2.0
// What is stored beside rows and edges: slots and their history, lives of holders, where findings stand, the session.
#include "agent/record/store.h"

namespace keytrail::record {
namespace {

constexpr int kChangesPerSlot = 32;

static constexpr char kSetLifeSql[] =
    "INSERT INTO life(pid, start_ns, exec, text) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET text = excluded.text";
static constexpr char kSetSlotSql[] =
    "INSERT INTO slot_now(container, place, selector, key_id, since_ns) VALUES(?1, ?2, ?3, ?4, ?5) "
    "ON CONFLICT DO UPDATE SET key_id = excluded.key_id, since_ns = excluded.since_ns";
static constexpr char kForgetSlotSql[] = "DELETE FROM slot_now WHERE container = ?1 AND place = ?2 AND selector = ?3";
static constexpr char kAddChangeSql[] =
    "INSERT INTO slot_history(container, place, selector, time_ns, old_id, new_id, after_ns) VALUES(?1, ?2, ?3, ?4, "
    "?5, "
    "?6, ?7)";
// A file that changes all the time takes the room of its own changes, not of others'.
static constexpr char kLimitChangesSql[] =
    "DELETE FROM slot_history WHERE id <= (SELECT id FROM slot_history WHERE container = ?1 AND place = ?2 AND "
    "selector = ?3 "
    "ORDER BY id DESC LIMIT 1 OFFSET ?4) AND container = ?1 AND place = ?2 AND selector = ?3";
static constexpr char kFindingRowSql[] =
    "SELECT last_seq FROM finding WHERE type = ?1 AND subject = ?2 AND state != ?3";
static constexpr char kSetMetaSql[] =
    "INSERT INTO meta(name, value) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
static constexpr char kEndRunSql[] = "DELETE FROM meta WHERE name = 'running_since_ns'";
static constexpr char kForgetSessionSql[] = "DELETE FROM session";
static constexpr char kSetSessionSql[] = "INSERT INTO session(name, value) VALUES(?1, ?2)";

}  // namespace

Result<void> Store::apply_state(const Batch& batch) {
  for (const Life& life : batch.lives) {
    if (auto r = db_->run(kSetLifeSql, life.id.tgid, life.id.start_ns, life.id.exec, life.text); !r) return r;
  }
  for (const SlotChange& change : batch.slot_changes) {
    if (auto r = change_slot(change); !r) return r;
  }
  for (const FindingChange& change : batch.findings) {
    if (auto r = change_finding(change); !r) return r;
  }
  return batch.session ? begin_session(*batch.session) : Result<void>{};
}

Result<void> Store::change_slot(const SlotChange& c) {
  if (c.new_id.empty()) return db_->run(kForgetSlotSql, c.scope, c.place, c.selector);
  if (auto r = db_->run(kSetSlotSql, c.scope, c.place, c.selector, c.new_id, c.time_ns); !r) return r;
  if (c.old_id.empty()) return {};
  if (auto r = db_->run(kAddChangeSql, c.scope, c.place, c.selector, c.time_ns, c.old_id, c.new_id, c.after_ns); !r)
    return r;
  return db_->run(kLimitChangesSql, c.scope, c.place, c.selector, kChangesPerSlot);
}

Result<void> Store::change_finding(const FindingChange& change) {
  auto seq = db_->number(kFindingRowSql, 0, change.type, change.subject, change.state);
  if (!seq) return std::unexpected(seq.error());
  if (*seq == 0) return {};
  Row row;
  row.time_ns = change.time_ns;
  row.body = RevisionRow{static_cast<std::uint64_t>(*seq), Revised::kState, to_string(change.state)};
  auto added = append(row);
  if (!added) return std::unexpected(added.error());
  return {};
}

Result<void> Store::begin_session(const SessionBase& session) {
  if (auto r = db_->run(kSetMetaSql, "session", session.id); !r) return r;
  if (auto r = db_->run(kForgetSessionSql); !r) return r;
  return set_counters(kSetSessionSql, session.counters);
}

Result<void> Store::mark_running() {
  if (auto r = db_->run(kSetMetaSql, "running_since_ns", now_ns_); !r) return r;
  marked_running_ = true;
  return {};
}

Result<void> Store::mark_ended() {
  marked_running_ = false;
  return db_->run(kEndRunSql);
}

}  // namespace keytrail::record
