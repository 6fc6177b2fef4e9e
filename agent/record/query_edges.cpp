// SPDX-License-Identifier: Apache-2.0
// Pages of edges, of uses and of readers. Totals of uses are those of the asked time: where an edge reaches beyond it,
// they are summed from its rows and what is pending.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "agent/record/edge_codec.h"
#include "agent/record/filter_sql.h"
#include "agent/record/reader.h"
#include "agent/record/sql_numbers.h"

namespace keytrail::record {
namespace {

// ?9 after, ?10 from, ?11 to, ?12 evidence or -1, ?13 limit, ?14 of readers: these have no destination
static constexpr char kEdgesSql[] = KEYTRAIL_CHAIN
    "SELECT id, workload, program, keyset, destination, pid, start_ns, exec, uid, outcome, evidence, reason, detail, "
    "via, first_ns, last_ns, connections, requests, bytes_sent, bytes_received, last_seq, instances, truncated, "
    "pending_first_ns, pending_last_ns, pending_connections, pending_requests, pending_bytes_sent, "
    "pending_bytes_received FROM edge "
    "WHERE (id_destination = 0) = ?14 AND id > ?9 AND last_ns >= ?10 AND first_ns < ?11 AND (?12 < 0 OR evidence = "
    "?12) "
    "AND " KEYTRAIL_HAS_WORKLOAD("workload") "AND " KEYTRAIL_HAS_DESTINATION("destination") "AND " KEYTRAIL_HAS_KEY(
        "keyset") "ORDER BY id LIMIT ?13";
// ?1 edge ids as a JSON array (ours, numbers), ?2 from, ?3 to
static constexpr char kInTimeSql[] =
    "SELECT edge, min(first_ns), max(last_ns), sum(iif(kind = " KT_SQL_USE ", amount, 0)), min(iif(kind = " KT_SQL_USE
    ", requests, 0)), sum(iif(kind = " KT_SQL_USE
    ", requests, 0)), sum(bytes_sent), sum(bytes_received) FROM rows WHERE kind IN (" KT_SQL_USE ", " KT_SQL_REVISION
    ") AND last_ns >= ?2 AND first_ns < ?3 AND edge IN (SELECT value FROM json_each(?1)) GROUP BY edge";

struct Pending {
  std::int64_t first_ns = 0, last_ns = 0;
  std::uint64_t connections = 0, bytes_sent = 0, bytes_received = 0;
  std::optional<std::uint64_t> requests;
};

struct StoredEdge {
  std::int64_t id = 0;
  Edge edge;
  Pending pending;
};

std::optional<std::uint64_t> optional_count(std::int64_t value) {
  return value < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(value));
}

Result<StoredEdge> read_edge(const Cursor& c, DictionaryView& names) {
  StoredEdge out;
  out.id = c.integer(0);
  const InstanceId instance{static_cast<std::uint32_t>(c.integer(5)), c.natural(6),
                            static_cast<std::uint32_t>(c.integer(7))};
  auto actor = names.actor(c.integer(1), c.integer(2), instance, static_cast<std::uint32_t>(c.integer(8)));
  if (!actor) return std::unexpected(actor.error());
  auto keys = names.keyset(c.integer(3));
  if (!keys) return std::unexpected(keys.error());
  auto destination = names.destination(c.integer(4));
  if (!destination) return std::unexpected(destination.error());
  UseRow& use = out.edge.use;
  use.actor = std::move(*actor);
  use.keys = **keys;
  use.destination = **destination;
  use.outcome = from_number<Outcome>(c.integer(9));
  use.evidence = from_number<Evidence>(c.integer(10));
  use.reason = from_number<Reason>(c.integer(11));
  use.reason_detail = c.text(12);
  use.via = c.text(13);
  use.first_ns = c.integer(14);
  use.last_ns = c.integer(15);
  use.connections = c.natural(16);
  use.requests = optional_count(c.integer(17));
  use.bytes_sent = c.natural(18);
  use.bytes_received = c.natural(19);
  out.edge.last_seq = c.natural(20);
  out.edge.instances = unpack_instances(c.bytes(21));
  out.edge.instances_cut = c.natural(22);
  out.edge.instances_truncated = out.edge.instances_cut != 0;
  out.pending = {c.integer(23), c.integer(24), c.natural(25),
                 c.natural(27), c.natural(28), optional_count(c.integer(26))};
  return out;
}

bool has_pid(const Edge& edge, std::uint32_t pid) {
  return std::any_of(edge.instances.begin(), edge.instances.end(),
                     [pid](const InstanceId& id) { return id.tgid == pid; });
}

/// Replaces totals by what lies in the asked time. A row's window that overlaps it counts as a whole.
Result<void> restrict_to_time(Database& db, const HistoryFilter& f, std::vector<StoredEdge>& found) {
  std::unordered_map<std::int64_t, StoredEdge*> beyond;
  std::string ids;
  for (StoredEdge& one : found) {
    if (one.edge.use.first_ns >= f.from_ns && one.edge.use.last_ns < end_of(f)) continue;
    beyond.emplace(one.id, &one);
    ids += fmt::format("{}{}", ids.empty() ? "[" : ",", one.id);
  }
  if (beyond.empty()) return {};
  ids += "]";
  for (auto& [id, one] : beyond) {
    UseRow& use = one->edge.use;
    use.first_ns = use.last_ns = 0;
    use.connections = use.bytes_sent = use.bytes_received = 0;
    use.requests.reset();
    const Pending& p = one->pending;
    if (p.first_ns == 0 || p.last_ns < f.from_ns || p.first_ns >= end_of(f)) continue;
    use.first_ns = p.first_ns;
    use.last_ns = p.last_ns;
    use.connections = p.connections;
    use.requests = p.requests;
    use.bytes_sent = p.bytes_sent;
    use.bytes_received = p.bytes_received;
  }
  Cursor cursor = db.query(kInTimeSql, ids, f.from_ns, end_of(f));
  while (true) {
    auto more = cursor.next();
    if (!more) return std::unexpected(more.error());
    if (!*more) break;
    UseRow& use = beyond.at(cursor.integer(0))->edge.use;
    const bool pending = use.first_ns != 0;
    use.first_ns = pending ? std::min(use.first_ns, cursor.integer(1)) : cursor.integer(1);
    use.last_ns = std::max(use.last_ns, cursor.integer(2));
    const auto requests = cursor.integer(4) < 0 ? std::nullopt : optional_count(cursor.integer(5));
    use.requests = use.connections == 0 && !use.requests
                       ? requests
                       : (use.requests && requests ? std::optional(*use.requests + *requests) : std::nullopt);
    use.connections += cursor.natural(3);
    use.bytes_sent += cursor.natural(6);
    use.bytes_received += cursor.natural(7);
  }
  for (auto& [id, one] : beyond) {
    if (one->edge.use.connections == 0) one->edge.use.requests.reset();  // calls from before: none was counted here
  }
  return {};
}

struct Found {
  std::vector<StoredEdge> edges;
  std::uint64_t next = 0;
};

Result<Found> find_edges(Database& db, const HistoryFilter& f, bool readers) {
  const auto workloads = workload_numbers(db, f);
  if (!workloads) return std::unexpected(workloads.error());
  DictionaryView names(db);
  Found out;
  // A process is looked for in the edges' lists here, so there the page ends by its items, not by the query.
  const std::int64_t limit = f.pid != 0 ? -1 : static_cast<std::int64_t>(f.limit) + 1;
  Cursor cursor =
      db.query(kEdgesSql, f.key, f.chain, *workloads, lifetime_bits(f), f.kind, f.provider, f.service, f.host,
               f.after_seq, f.from_ns, end_of(f), f.evidence ? static_cast<int>(*f.evidence) : -1, limit, readers);
  while (true) {
    auto more = cursor.next();
    if (!more) return std::unexpected(more.error());
    if (!*more) return out;
    auto one = read_edge(cursor, names);
    if (!one) return std::unexpected(one.error());
    if (f.pid != 0 && !has_pid(one->edge, f.pid)) continue;
    if (out.edges.size() == f.limit) {
      out.next = static_cast<std::uint64_t>(out.edges.back().id);
      return out;
    }
    out.edges.push_back(std::move(*one));
  }
}

KeyReader reader_of(Edge edge) {
  KeyReader out;
  UseRow& use = edge.use;
  if (!use.keys.empty()) {
    out.key = std::move(use.keys.front().key);
    out.slot = std::move(use.keys.front().slot);
  }
  out.actor = std::move(use.actor);
  out.baseline = use.reason_detail == kBaseline;
  out.first_ns = use.first_ns;
  out.last_ns = use.last_ns;
  out.count = use.connections;
  out.instances = std::move(edge.instances);
  out.instances_truncated = edge.instances_truncated;
  out.instances_cut = edge.instances_cut;
  out.earlier_sessions = use.via == kEarlier;
  return out;
}

}  // namespace

Result<Page<Edge>> Reader::edges(const HistoryFilter& f) {
  if (auto r = check(f); !r) return std::unexpected(r.error());
  return reading<Page<Edge>>([&]() -> Result<Page<Edge>> {
    auto found = find_edges(*db_, f, false);
    if (!found) return std::unexpected(found.error());
    if (auto r = restrict_to_time(*db_, f, found->edges); !r) return std::unexpected(r.error());
    Page<Edge> page{{}, found->next};
    for (StoredEdge& one : found->edges) {
      // Used before and after the asked time, but not within it.
      if (one.edge.use.first_ns != 0) page.items.push_back(std::move(one.edge));
    }
    return page;
  });
}

Result<Page<KeyReader>> Reader::readers(const HistoryFilter& f) {
  if (auto r = check(f); !r) return std::unexpected(r.error());
  return reading<Page<KeyReader>>([&]() -> Result<Page<KeyReader>> {
    auto found = find_edges(*db_, f, true);
    if (!found) return std::unexpected(found.error());
    Page<KeyReader> page{{}, found->next};
    for (StoredEdge& one : found->edges)
      page.items.push_back(reader_of(std::move(one.edge)));
    return page;
  });
}

}  // namespace keytrail::record
