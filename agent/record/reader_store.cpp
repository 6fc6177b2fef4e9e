// SPDX-License-Identifier: Apache-2.0
// Readers of keys: edges without a destination. What they count makes no rows (the first of a reader, and its sessions,
// are rows already), so they have no window; their sessions are bounded.
#include <algorithm>

#include "agent/record/edge_codec.h"
#include "agent/record/reader.h"
#include "agent/record/store.h"

namespace keytrail::record {
namespace {

/// Sessions of one reader that have an edge each: a job that logs in each minute is bounded by it.
constexpr std::int64_t kMaxSessions = 8;

// The edges of one reader, whatever its session, newest first, from the last that has a place of its own. ?1 one of
// them, ?2 how many have one.
static constexpr char kSessionsSql[] =
    "SELECT e.id FROM edge n JOIN program np ON np.id = n.id_program JOIN edge e ON e.id_workload = n.id_workload "
    "AND e.id_keyset = n.id_keyset AND e.id_destination = 0 JOIN program p ON p.id = e.id_program WHERE n.id = ?1 "
    "AND (p.exe, p.program, p.user, p.login_user) = (np.exe, np.program, np.user, np.login_user) "
    "ORDER BY e.last_ns DESC, e.id DESC LIMIT -1 OFFSET ?2 - 1";
// ?1 takes in ?2.
static constexpr char kSumSql[] =
    "UPDATE edge SET (first_ns, connections, detail, via) = (SELECT min(edge.first_ns, o.first_ns), "
    "edge.connections + o.connections, iif(o.first_ns < edge.first_ns, o.detail, edge.detail), ?3 FROM edge o "
    "WHERE o.id = ?2) WHERE id = ?1";
static constexpr char kRemoveSql[] = "DELETE FROM edge WHERE id = ?1";
static constexpr char kAnyReaderSql[] = "SELECT EXISTS (SELECT 1 FROM edge WHERE id_destination = 0)";

}  // namespace

Result<void> Store::observe(const KeyReader& reader) {
  if (reader.key.id.empty()) return {};
  auto ids = intern(reader.actor);
  if (!ids) return std::unexpected(ids.error());
  const std::vector<Candidate> keys{{reader.key, reader.slot}};
  auto id_program = dictionary_.program(reader.actor, Ran::kReader);
  auto id_keyset = dictionary_.keyset(keys, true);
  auto keyset = dictionary_.keyset(keys, false);
  for (const auto* number : {&id_program, &id_keyset, &keyset}) {
    if (!*number) return std::unexpected(number->error());
  }
  const EdgeIdentity identity{.workload = ids->workload, .program = *id_program, .keyset = *id_keyset};
  Latest latest{ids->workload, ids->program, *keyset, 0, reader.actor.id, reader.actor.uid, {}, {}};
  if (reader.baseline) latest.detail = kBaseline;
  auto edge = edge_for(identity, latest, reader.first_ns);
  if (!edge) return std::unexpected(edge.error());
  EdgeState& state = **edge;
  dirty_.insert(&state);
  latest.detail = state.latest.detail;  // both tell of what is in the sums
  latest.via = state.latest.via;
  state.latest = std::move(latest);
  for (const InstanceId& instance : reader.instances)
    state.saw(instance);
  state.cut += std::max<std::uint64_t>(reader.instances_cut, reader.instances_truncated ? 1 : 0);
  Amount amount;
  amount.first_ns = reader.first_ns;
  amount.last_ns = reader.last_ns;
  amount.connections = reader.count;
  state.total.add(amount);
  return note_sighting(reader.key, reader.slot, reader.actor, reader.last_ns, true);
}

/// A history of before there were readers: its rows tell of the first acquisition of each kind.
Result<void> Store::sum_acquisitions() {
  auto readers = db_->number(kAnyReaderSql, 0);
  if (!readers) return std::unexpected(readers.error());
  if (*readers != 0) return {};
  auto done = in_transaction([this]() -> Result<void> {
    for (std::uint64_t after = 0;;) {
      auto rows = read_acquisitions(*db_, after, 1000);
      if (!rows) return std::unexpected(rows.error());
      if (rows->empty()) return {};
      after = rows->back().seq;
      for (const Row& row : *rows) {
        const auto& from = std::get<AcquisitionRow>(row.body);
        if (auto r = observe({.actor = from.actor,
                              .key = from.key,
                              .slot = from.slot,
                              .baseline = from.baseline,
                              .first_ns = row.time_ns,
                              .last_ns = row.time_ns,
                              .count = 1,
                              .instances = {from.actor.id}});
            !r)
          return r;
      }
    }
  });
  // The next start tries again: nobody should wait for his history because of what is only a sum of it.
  if (!done) forget();
  return {};
}

/// The sessions of a reader beyond the newest are summed into the last of these.
Result<void> Store::sum_sessions(std::int64_t edge) {
  std::vector<std::int64_t> sessions;
  {
    Cursor cursor = db_->query(kSessionsSql, edge, kMaxSessions);
    while (true) {
      auto more = cursor.next();
      if (!more) return std::unexpected(more.error());
      if (!*more) break;
      sessions.push_back(cursor.integer(0));
    }
  }
  for (std::size_t i = 1; i < sessions.size(); ++i) {
    if (auto r = db_->run(kSumSql, sessions.front(), sessions[i], kEarlier); !r) return r;
    if (auto r = db_->run(kRemoveSql, sessions[i]); !r) return r;
  }
  return {};
}

}  // namespace keytrail::record
