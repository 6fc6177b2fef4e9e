// SPDX-License-Identifier: Apache-2.0
// Edges: from a use to its edge, and edges to and from the file.
#include "agent/record/edge_codec.h"
#include "agent/record/store.h"

namespace keytrail::record {
namespace {

#define KEYTRAIL_EDGE_COLUMNS                                                                      \
  "id, id_workload, id_program, id_keyset, id_destination, outcome, evidence, reason, "            \
  "workload, program, keyset, destination, pid, start_ns, exec, uid, detail, via, "                \
  "first_ns, last_ns, connections, requests, bytes_sent, bytes_received, "                         \
  "pending_first_ns, pending_last_ns, pending_connections, pending_requests, pending_bytes_sent, " \
  "pending_bytes_received, level, window_end_ns, last_seq, instances, truncated"

static constexpr char kLoadEdgeSql[] =
    "SELECT " KEYTRAIL_EDGE_COLUMNS
    " FROM edge WHERE id_workload = ?1 AND id_program = ?2 AND id_keyset = ?3 AND id_destination = ?4 "
    "AND outcome = ?5 AND evidence = ?6 AND reason = ?7";
static constexpr char kLoadOpenSql[] =
    "SELECT " KEYTRAIL_EDGE_COLUMNS
    " FROM edge WHERE window_end_ns != 0 OR pending_connections != 0 OR pending_requests > 0";
static constexpr char kSaveEdgeSql[] =
    "INSERT INTO edge(" KEYTRAIL_EDGE_COLUMNS
    ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, "
    "?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35) ON CONFLICT(id) DO UPDATE SET "
    "workload = excluded.workload, program = excluded.program, keyset = excluded.keyset, "
    "destination = excluded.destination, pid = excluded.pid, start_ns = excluded.start_ns, exec = excluded.exec, "
    "uid = excluded.uid, detail = excluded.detail, via = excluded.via, first_ns = excluded.first_ns, "
    "last_ns = excluded.last_ns, connections = excluded.connections, requests = excluded.requests, "
    "bytes_sent = excluded.bytes_sent, bytes_received = excluded.bytes_received, "
    "pending_first_ns = excluded.pending_first_ns, pending_last_ns = excluded.pending_last_ns, "
    "pending_connections = excluded.pending_connections, pending_requests = excluded.pending_requests, "
    "pending_bytes_sent = excluded.pending_bytes_sent, pending_bytes_received = excluded.pending_bytes_received, "
    "level = excluded.level, window_end_ns = excluded.window_end_ns, last_seq = excluded.last_seq, "
    "instances = excluded.instances, truncated = excluded.truncated";
static constexpr char kNextEdgeSql[] = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'edge'), 0) + 1";

Amount read_amount(const Cursor& cursor, int column) {
  Amount out;
  out.first_ns = cursor.integer(column);
  out.last_ns = cursor.integer(column + 1);
  out.connections = cursor.natural(column + 2);
  if (cursor.integer(column + 3) >= 0) out.requests = cursor.natural(column + 3);
  out.bytes_sent = cursor.natural(column + 4);
  out.bytes_received = cursor.natural(column + 5);
  return out;
}

EdgeState read_edge(const Cursor& cursor) {
  EdgeState edge;
  edge.id = cursor.integer(0);
  edge.identity = {cursor.integer(1),
                   cursor.integer(2),
                   cursor.integer(3),
                   cursor.integer(4),
                   from_number<Outcome>(cursor.integer(5)),
                   from_number<Evidence>(cursor.integer(6)),
                   from_number<Reason>(cursor.integer(7))};
  edge.latest.workload = cursor.integer(8);
  edge.latest.program = cursor.integer(9);
  edge.latest.keyset = cursor.integer(10);
  edge.latest.destination = cursor.integer(11);
  edge.latest.instance = {static_cast<std::uint32_t>(cursor.integer(12)), cursor.natural(13),
                          static_cast<std::uint32_t>(cursor.integer(14))};
  edge.latest.uid = static_cast<std::uint32_t>(cursor.integer(15));
  edge.latest.detail = cursor.text(16);
  edge.latest.via = cursor.text(17);
  edge.total = read_amount(cursor, 18);
  edge.pending = read_amount(cursor, 24);
  edge.level = static_cast<std::size_t>(cursor.natural(30) & 3U);
  edge.window_end_ns = cursor.integer(31);
  edge.last_seq = cursor.natural(32);
  edge.instances = unpack_instances(cursor.bytes(33));
  edge.cut = cursor.natural(34);
  return edge;
}

std::int64_t stored_requests(const Amount& amount) {
  return amount.requests ? static_cast<std::int64_t>(*amount.requests) : -1;
}

Amount amount_of(const UseRow& use, bool touch) {
  Amount out;
  out.first_ns = use.first_ns;
  out.last_ns = std::max(use.first_ns, use.last_ns);
  if (!touch) {
    out.connections = use.connections;
    out.requests = use.requests;
  } else {
    out.first_ns = out.last_ns;
  }
  out.bytes_sent = use.bytes_sent;
  out.bytes_received = use.bytes_received;
  return out;
}

}  // namespace

std::vector<std::uint8_t> pack_instances(const std::vector<InstanceId>& instances) {
  std::vector<std::uint8_t> out;
  auto put = [&out](std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i)
      out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  };
  for (const InstanceId& instance : instances) {
    put(instance.tgid, 4);
    put(instance.start_ns, 8);
    put(instance.exec, 4);
  }
  return out;
}

std::vector<InstanceId> unpack_instances(std::span<const std::uint8_t> bytes) {
  std::vector<InstanceId> out;
  auto get = [&bytes](std::size_t at, int count) {
    std::uint64_t value = 0;
    for (int i = count - 1; i >= 0; --i)
      value = (value << 8U) | bytes[at + static_cast<std::size_t>(i)];
    return value;
  };
  for (std::size_t at = 0; at + 16 <= bytes.size() && out.size() < kMaxInstances; at += 16) {
    out.push_back(
        {static_cast<std::uint32_t>(get(at, 4)), get(at + 4, 8), static_cast<std::uint32_t>(get(at + 12, 4))});
  }
  return out;
}

Result<EdgeState> Store::load_or_create(const EdgeIdentity& identity, const Latest& latest, std::int64_t first_ns) {
  {
    Cursor cursor = db_->query(kLoadEdgeSql, identity.workload, identity.program, identity.keyset, identity.destination,
                               identity.outcome, identity.evidence, identity.reason);
    auto found = cursor.next();
    if (!found) return std::unexpected(found.error());
    if (*found) return read_edge(cursor);
  }
  auto number = db_->number(kNextEdgeSql, 1);
  if (!number) return std::unexpected(number.error());
  EdgeState edge;
  edge.id = *number;
  edge.identity = identity;
  edge.latest = latest;
  edge.total.first_ns = first_ns;
  if (auto r = save(edge); !r) return std::unexpected(r.error());
  if (identity.destination == 0) new_readers_.push_back(edge.id);
  return edge;
}

Result<void> Store::save(const EdgeState& e) {
  const auto instances = pack_instances(e.instances);
  return db_->run(kSaveEdgeSql, e.id, e.identity.workload, e.identity.program, e.identity.keyset,
                  e.identity.destination, e.identity.outcome, e.identity.evidence, e.identity.reason, e.latest.workload,
                  e.latest.program, e.latest.keyset, e.latest.destination, e.latest.instance.tgid,
                  e.latest.instance.start_ns, e.latest.instance.exec, e.latest.uid, e.latest.detail, e.latest.via,
                  e.total.first_ns, e.total.last_ns, e.total.connections, stored_requests(e.total), e.total.bytes_sent,
                  e.total.bytes_received, e.pending.first_ns, e.pending.last_ns, e.pending.connections,
                  stored_requests(e.pending), e.pending.bytes_sent, e.pending.bytes_received, e.level, e.window_end_ns,
                  e.last_seq, std::span<const std::uint8_t>(instances), e.cut);
}

Result<void> Store::load_open_windows() {
  Cursor cursor = db_->query(kLoadOpenSql);
  while (true) {
    auto row = cursor.next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
    EdgeState edge = read_edge(cursor);
    if (edge.window_end_ns == 0) edge.window_end_ns = 1;  // pending calls without a window: due at once
    coalescer_.adopt(std::move(edge));
  }
}

Result<EdgeState*> Store::edge_for(const UseRow& use) {
  auto ids = intern(use.actor);
  if (!ids) return std::unexpected(ids.error());
  auto id_program = dictionary_.program(use.actor, Ran::kUse);
  auto id_keyset = dictionary_.keyset(use.keys, true);
  auto id_destination = dictionary_.destination(identity_of(use.destination));
  auto keyset = dictionary_.keyset(use.keys, false);
  auto destination = dictionary_.destination(use.destination);
  for (const auto* number : {&id_program, &id_keyset, &id_destination, &keyset, &destination}) {
    if (!*number) return std::unexpected(number->error());
  }
  const EdgeIdentity identity{ids->workload, *id_program,  *id_keyset, *id_destination,
                              use.outcome,   use.evidence, use.reason};
  Latest latest{ids->workload, ids->program,  *keyset,           *destination,
                use.actor.id,  use.actor.uid, use.reason_detail, use.via};
  auto edge = edge_for(identity, latest, use.first_ns);
  if (edge) (*edge)->latest = std::move(latest);
  return edge;
}

/// `latest` is that of an edge that is made now.
Result<EdgeState*> Store::edge_for(const EdgeIdentity& identity, const Latest& latest, std::int64_t first_ns) {
  if (EdgeState* known = coalescer_.find(identity)) return known;
  auto loaded = load_or_create(identity, latest, first_ns);
  if (!loaded) return std::unexpected(loaded.error());
  return &coalescer_.adopt(std::move(*loaded));
}

Result<void> Store::emit(EdgeState& edge, const std::optional<Amount>& amount) {
  if (!amount) return {};
  if (!amount->has_calls()) {
    auto added = append_bytes(edge, *amount);
    return added ? Result<void>() : std::unexpected(added.error());
  }
  auto seq = append_use(edge, *amount);
  if (!seq) return std::unexpected(seq.error());
  edge.last_seq = *seq;
  return {};
}

Result<void> Store::observe(const UseRow& use, bool touch) {
  auto edge = edge_for(use);
  if (!edge) return std::unexpected(edge.error());
  dirty_.insert(*edge);
  (*edge)->saw(use.actor.id);
  const Amount amount = [&] {
    Amount out = amount_of(use, touch);
    if (out.last_ns <= 0) out.first_ns = out.last_ns = now_ns_;
    if (out.first_ns <= 0) out.first_ns = out.last_ns;
    return out;
  }();
  if (auto r = touch_holdings(**edge, use); !r) return r;
  if (touch) {
    Coalescer::touch(**edge, amount);
    return {};
  }
  return emit(**edge, coalescer_.use(**edge, amount, now_ns_));
}

Result<void> Store::close_due() {
  for (EdgeState* edge : coalescer_.due(now_ns_)) {
    dirty_.insert(edge);
    if (auto r = emit(*edge, coalescer_.close(*edge, now_ns_)); !r) return r;
  }
  return {};
}

Result<void> Store::limit_open_windows() {
  if (coalescer_.size() <= options_.max_open_windows) return {};
  const std::size_t surplus = coalescer_.size() - options_.max_open_windows + options_.max_open_windows / 16;
  for (EdgeState* edge : coalescer_.soonest(surplus)) {
    dirty_.insert(edge);
    if (auto r = emit(*edge, coalescer_.flush(*edge)); !r) return r;
  }
  return {};
}

Result<void> Store::save_dirty() {
  for (const EdgeState* edge : dirty_) {
    if (auto r = save(*edge); !r) return r;
  }
  // What has no window any more is in the file: memory holds open windows only.
  for (const EdgeState* edge : dirty_)
    coalescer_.release(EdgeIdentity(edge->identity));
  dirty_.clear();
  for (const std::int64_t edge : std::exchange(new_readers_, {})) {
    if (auto r = sum_sessions(edge); !r) return r;
  }
  return {};
}

}  // namespace keytrail::record
