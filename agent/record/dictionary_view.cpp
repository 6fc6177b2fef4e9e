// SPDX-License-Identifier: Apache-2.0
#include "agent/record/dictionary_view.h"

#include "agent/base/workload_facts.h"
#include "agent/record/columns.h"

namespace keytrail::record {
namespace {

static constexpr char kWorkloadSql[] = "SELECT wid, kind, name, known_by FROM workload WHERE id = ?1";
static constexpr char kFactsSql[] =
    "SELECT name, known_by, value, since_ns FROM workload_fact WHERE wid = ?1 OR (wid = ?2 AND ?2 != '') ORDER BY wid "
    "= ?2";
static constexpr char kKeysetSql[] = "SELECT key, slot, reason FROM candidate WHERE keyset = ?1 ORDER BY position";

}  // namespace

template <typename T, typename Read>
Result<const T*> DictionaryView::look_up(Map<T>& map, const char* sql, std::int64_t id, Read read) {
  auto found = map.find(id);
  if (found != map.end()) return &found->second;
  T value{};
  if (id != 0) {
    Cursor cursor = db_.query(sql, id);
    auto row = cursor.next();
    if (!row) return std::unexpected(row.error());
    if (*row) read(cursor, value);
  }
  return &map.emplace(id, std::move(value)).first->second;
}

Result<std::vector<Fact>> read_facts(Database& db, std::string_view wid) {
  std::vector<Fact> out;
  Cursor c = db.query(kFactsSql, wid, base::parent_id(wid));
  while (true) {
    auto row = c.next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return out;
    (void)base::join_fact(out, {c.text(0), c.text(2), from_number<KnownBy>(c.integer(1)), c.integer(3)});
  }
}

Result<const Workload*> DictionaryView::workload(std::int64_t id) {
  if (const auto found = workloads_.find(id); found != workloads_.end()) return &found->second;
  auto seen = look_up(workloads_, kWorkloadSql, id, [](const Cursor& c, Workload& w) {
    w.id = c.text(0);
    w.kind = from_number<WorkloadKind>(c.integer(1));
    w.name = c.text(2);
    w.known_by = from_number<KnownBy>(c.integer(3));
  });
  if (!seen || (*seen)->id.empty()) return seen;
  auto facts = read_facts(db_, (*seen)->id);
  if (!facts) return std::unexpected(facts.error());
  workloads_.at(id).facts = std::move(*facts);
  return seen;
}

Result<const Actor*> DictionaryView::program(std::int64_t id) {
  return look_up(programs_, select_sql<Actor>(), id, load<Actor>);
}

Result<const Key*> DictionaryView::key(std::int64_t id) { return look_up(keys_, select_sql<Key>(), id, load<Key>); }
Result<const Slot*> DictionaryView::slot(std::int64_t id) {
  return look_up(slots_, select_sql<Slot>(), id, load<Slot>);
}
Result<const Destination*> DictionaryView::destination(std::int64_t id) {
  return look_up(destinations_, select_sql<Destination>(), id, load<Destination>);
}

Result<const std::vector<Candidate>*> DictionaryView::keyset(std::int64_t id) {
  auto found = keysets_.find(id);
  if (found != keysets_.end()) return &found->second;
  std::vector<Candidate> candidates;
  Cursor cursor = db_.query(kKeysetSql, id);
  while (true) {
    auto row = cursor.next();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    auto one = key(cursor.integer(0));
    if (!one) return std::unexpected(one.error());
    auto place = slot(cursor.integer(1));
    if (!place) return std::unexpected(place.error());
    candidates.push_back({**one, **place, from_number<Reason>(cursor.integer(2))});
  }
  return &keysets_.emplace(id, std::move(candidates)).first->second;
}

Result<Actor> DictionaryView::actor(std::int64_t workload_id, std::int64_t program_id, const InstanceId& instance,
                                    std::uint32_t uid) {
  auto place = workload(workload_id);
  if (!place) return std::unexpected(place.error());
  auto runs = program(program_id);
  if (!runs) return std::unexpected(runs.error());
  Actor out = **runs;
  out.id = instance;
  out.uid = uid;
  out.workload = **place;
  return out;
}

}  // namespace keytrail::record
