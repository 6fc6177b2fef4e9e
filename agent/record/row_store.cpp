// SPDX-License-Identifier: Apache-2.0
// Appending one row of each kind.
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

#include "agent/base/session_text.h"
#include "agent/record/schema.h"
#include "agent/record/sql_numbers.h"
#include "agent/record/store.h"

namespace keytrail::record {
namespace {

static constexpr char kInsertRowSql[] =
    "INSERT INTO rows(kind, time_ns, observed_ns, first_ns, last_ns, workload, program, keyset, destination, edge, "
    "pid, start_ns, exec, uid, outcome, evidence, reason, amount, requests, bytes_sent, bytes_received, flags, label, "
    "note, subject, tags, detail, kinds) "
    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, "
    "?24, ?25, ?26, ?27, ?28)";
static constexpr char kSightingSql[] =
    "INSERT INTO sighting(id_key, slot, id_workload, first_ns, last_ns, session, login_user, kept) "
    "VALUES(?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7) "
    "ON CONFLICT DO UPDATE SET first_ns = min(first_ns, excluded.first_ns), last_ns = max(last_ns, excluded.last_ns), "
    "kept = max(kept, excluded.kept)";
// What was resolved is open again, what was accepted stays so.
static constexpr char kFindingSql[] =
    "INSERT INTO finding(type, subject, workload, first_ns, last_ns, count, last_seq, state) "
    "VALUES(?1, ?2, ?3, ?4, ?4, 1, ?5, " KT_SQL_OPEN
    ") "
    "ON CONFLICT DO UPDATE SET last_ns = max(last_ns, excluded.last_ns), count = count + 1, "
    "last_seq = excluded.last_seq, state = CASE state WHEN " KT_SQL_RESOLVED " THEN " KT_SQL_OPEN " ELSE state END";
static constexpr char kFindingStateSql[] =
    "UPDATE finding SET state = ?1 WHERE (type, subject) IN (SELECT label, subject FROM rows WHERE seq = ?2 AND kind "
    "= " KT_SQL_FINDING ")";

/// The columns of one row; what a kind does not have stays zero or empty.
struct Columns {
  RowKind kind = RowKind::kGap;
  std::int64_t time_ns = 0, observed_ns = 0, first_ns = 0, last_ns = 0;
  std::int64_t workload = 0, program = 0, keyset = 0, destination = 0, edge = 0;
  InstanceId instance;
  std::uint32_t uid = 0;
  Outcome outcome = Outcome::kUnknown;
  Evidence evidence = Evidence::kUnattributed;
  std::int64_t reason = 0, amount = 0, requests = -1;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::int64_t flags = 0;
  std::string_view label, note, subject, tags, detail, kinds;
};

/// As read_words() of query_rows.cpp takes them apart.
std::string in_one(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

Result<void> insert(Database& db, const Columns& c) {
  return db.run(kInsertRowSql, c.kind, c.time_ns, c.observed_ns, c.first_ns, c.last_ns, c.workload, c.program, c.keyset,
                c.destination, c.edge, c.instance.tgid, c.instance.start_ns, c.instance.exec, c.uid, c.outcome,
                c.evidence, c.reason, c.amount, c.requests, c.bytes_sent, c.bytes_received, c.flags, c.label, c.note,
                c.subject, c.tags, c.detail, c.kinds);
}

}  // namespace

/// The number of the row that was just inserted, which is counted.
std::uint64_t Store::appended() {
  const auto seq = static_cast<std::uint64_t>(sqlite3_last_insert_rowid(db_->handle()));
  next_seq_ = seq + 1;
  ++appended_;
  return seq;
}

Result<Store::ActorIds> Store::intern(const Actor& actor) {
  auto workload = dictionary_.workload(actor.workload);
  if (!workload) return std::unexpected(workload.error());
  auto program = dictionary_.program(actor, Ran::kProcess);
  if (!program) return std::unexpected(program.error());
  return ActorIds{*workload, *program};
}

Result<void> Store::note_sighting(const Key& key, const Slot& slot, const Actor& actor, std::int64_t at_ns,
                                  bool taken) {
  if (key.id.empty()) return {};
  auto key_number = dictionary_.key(identity_of(key));
  auto slot_number = dictionary_.slot(slot);
  auto workload_number = dictionary_.workload(actor.workload);
  for (const auto* number : {&key_number, &slot_number, &workload_number}) {
    if (!*number) return std::unexpected(number->error());
  }
  const bool kept = taken && base::session_part(actor.session, "distributor ").empty();
  return db_->run(kSightingSql, *key_number, *slot_number, *workload_number, at_ns, actor.session, actor.login_user,
                  kept);
}

Result<void> Store::note_finding(const FindingRow& row, std::int64_t time_ns, std::uint64_t seq) {
  auto workload = dictionary_.workload(row.actor.workload);
  if (!workload) return std::unexpected(workload.error());
  return db_->run(kFindingSql, row.type, row.subject, *workload, time_ns, seq);
}

Result<std::uint64_t> Store::append(const Row& row) {
  Columns c;
  std::string words;
  c.time_ns = c.first_ns = c.last_ns = row.time_ns;
  c.observed_ns = row.observed_ns != 0 ? row.observed_ns : now_ns_;
  const Actor* actor = nullptr;
  std::vector<Candidate> keys;
  if (const auto* acquisition = std::get_if<AcquisitionRow>(&row.body)) {
    c.kind = RowKind::kAcquisition;
    actor = &acquisition->actor;
    keys.push_back({acquisition->key, acquisition->slot});
    c.flags = (acquisition->bulk ? 1 : 0) | (acquisition->baseline ? 2 : 0);
    c.label = acquisition->unread;
  } else if (const auto* finding = std::get_if<FindingRow>(&row.body)) {
    c.kind = RowKind::kFinding;
    actor = &finding->actor;
    keys.push_back({finding->key, finding->slot});
    c.flags = static_cast<std::int64_t>(finding->severity);
    c.label = finding->type;
    c.note = finding->text;
    c.subject = finding->subject;
    c.tags = words = in_one(finding->attack);
  } else if (const auto* gap = std::get_if<GapRow>(&row.body)) {
    c.kind = RowKind::kGap;
    std::tie(c.first_ns, c.last_ns) = std::minmax(gap->from_ns, gap->to_ns);  // the clock may have been set back
    c.amount = gap->lost ? static_cast<std::int64_t>(*gap->lost) : -1;
    c.label = gap->cause;
    c.note = gap->text;
    c.subject = gap->family;
    c.tags = gap->scope;
    c.detail = gap->detail;
    c.kinds = words = in_one(gap->kinds);
  } else if (const auto* revision = std::get_if<RevisionRow>(&row.body)) {
    c.kind = RowKind::kRevision;
    c.amount = static_cast<std::int64_t>(revision->of_seq);
    c.flags = static_cast<std::int64_t>(revision->what);
    c.note = revision->value;
    c.bytes_sent = revision->bytes_sent;
    c.bytes_received = revision->bytes_received;
  } else {
    return fail(Error::Code::kInvalid, "a use was given as a finished row: uses go to Batch::uses");
  }
  if (actor != nullptr) {
    auto ids = intern(*actor);
    if (!ids) return std::unexpected(ids.error());
    c.workload = ids->workload;
    c.program = ids->program;
    c.instance = actor->id;
    c.uid = actor->uid;
    auto keyset = dictionary_.keyset(keys, false);
    if (!keyset) return std::unexpected(keyset.error());
    c.keyset = *keyset;
  }
  if (auto r = insert(*db_, c); !r) return std::unexpected(r.error());
  const std::uint64_t seq = appended();
  Result<void> noted;
  if (const auto* acquisition = std::get_if<AcquisitionRow>(&row.body)) {
    noted = note_sighting(acquisition->key, acquisition->slot, acquisition->actor, row.time_ns, true);
  } else if (const auto* finding = std::get_if<FindingRow>(&row.body)) {
    noted = note_finding(*finding, row.time_ns, seq);
  } else if (const auto* revision = std::get_if<RevisionRow>(&row.body);
             revision != nullptr && revision->what == Revised::kState) {
    // Only words of the list stand for a state; another revision of it is a row and moves nothing.
    if (const auto state = from_word<FindingState>(revision->value))
      noted = db_->run(kFindingStateSql, *state, revision->of_seq);
  }
  if (!noted) return std::unexpected(noted.error());
  return seq;
}

Result<std::uint64_t> Store::append_use(const EdgeState& edge, const Amount& amount) {
  Columns c;
  c.kind = RowKind::kUse;
  c.time_ns = c.first_ns = amount.first_ns;
  c.last_ns = amount.last_ns;
  c.observed_ns = now_ns_;
  c.workload = edge.latest.workload;
  c.program = edge.latest.program;
  c.keyset = edge.latest.keyset;
  c.destination = edge.latest.destination;
  c.edge = edge.id;
  c.instance = edge.latest.instance;
  c.uid = edge.latest.uid;
  c.outcome = edge.identity.outcome;
  c.evidence = edge.identity.evidence;
  c.reason = static_cast<std::int64_t>(edge.identity.reason);
  c.amount = static_cast<std::int64_t>(amount.connections);
  c.requests = amount.requests ? static_cast<std::int64_t>(*amount.requests) : -1;
  c.bytes_sent = amount.bytes_sent;
  c.bytes_received = amount.bytes_received;
  c.label = edge.latest.detail;
  c.note = edge.latest.via;
  if (auto r = insert(*db_, c); !r) return std::unexpected(r.error());
  return appended();
}

Result<std::uint64_t> Store::append_bytes(const EdgeState& edge, const Amount& amount) {
  Columns c;
  c.kind = RowKind::kRevision;
  c.time_ns = c.first_ns = c.last_ns = amount.last_ns;
  c.observed_ns = now_ns_;
  c.edge = edge.id;
  c.amount = static_cast<std::int64_t>(edge.last_seq);
  c.flags = static_cast<std::int64_t>(Revised::kBytes);
  c.bytes_sent = amount.bytes_sent;
  c.bytes_received = amount.bytes_received;
  if (auto r = insert(*db_, c); !r) return std::unexpected(r.error());
  return appended();
}

Result<std::uint64_t> Store::append_news(std::int64_t workload, const std::string& facts) {
  Columns c;
  c.kind = RowKind::kRevision;
  c.time_ns = c.first_ns = c.last_ns = c.observed_ns = now_ns_;
  c.workload = workload;
  c.flags = static_cast<std::int64_t>(Revised::kWorkload);
  c.note = facts;
  if (auto r = insert(*db_, c); !r) return std::unexpected(r.error());
  return appended();
}

}  // namespace keytrail::record
