// SPDX-License-Identifier: Apache-2.0
#include "agent/record/dictionary_view.h"

#include <charconv>

#include "agent/base/workload_facts.h"

namespace keytrail::record {
namespace {

static constexpr char kWorkloadSql[] = "SELECT wid, kind, name, known_by FROM workload WHERE id = ?1";
static constexpr char kFactsSql[] =
    "SELECT name, known_by, value, since_ns FROM workload_fact WHERE wid = ?1 OR (wid = ?2 AND ?2 != '') ORDER BY wid = ?2";
static constexpr char kProgramSql[] = "SELECT exe, program, comm, user, login_user FROM program WHERE id = ?1";
static constexpr char kKeySql[] =
    "SELECT key_id, kind, class, lifetime, fingerprint, principal, parent, issued_s, expires_s FROM key WHERE id = ?1";
static constexpr char kSlotSql[] = "SELECT origin, place, selector FROM slot WHERE id = ?1";
static constexpr char kDestinationSql[] =
    "SELECT provider, service, region, host, address, port, action, name_source, ambiguous FROM destination WHERE id = ?1";
static constexpr char kKeysetSql[] = "SELECT key, slot, reason FROM candidate WHERE keyset = ?1 ORDER BY position";

}  // namespace

Fingerprint parse_fingerprint(const std::string& text) {
  Fingerprint out;
  if (text.size() != 35 || !text.starts_with("fp:")) return {};
  for (std::size_t i = 0; i < out.bytes.size(); ++i) {
    const char* begin = text.data() + 3 + 2 * i;
    if (std::from_chars(begin, begin + 2, out.bytes[i], 16).ptr != begin + 2) return {};
  }
  return out;
}

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

Result<const Program*> DictionaryView::program(std::int64_t id) {
  return look_up(programs_, kProgramSql, id,
                 [](const Cursor& c, Program& p) { p = {c.text(0), c.text(1), c.text(2), c.text(3), c.text(4)}; });
}

Result<const Key*> DictionaryView::key(std::int64_t id) {
  return look_up(keys_, kKeySql, id, [](const Cursor& c, Key& k) {
    k.id = c.text(0);
    k.kind = c.text(1);
    k.key_class = from_number<KeyClass>(c.integer(2));
    k.lifetime = from_number<Lifetime>(c.integer(3));
    k.fingerprint = parse_fingerprint(c.text(4));
    k.principal = c.text(5);
    k.parent = c.text(6);
    k.issued_s = c.integer(7);
    k.expires_s = c.integer(8);
  });
}

Result<const Slot*> DictionaryView::slot(std::int64_t id) {
  return look_up(slots_, kSlotSql, id, [](const Cursor& c, Slot& s) { s = {from_number<From>(c.integer(0)), c.text(1), c.text(2)}; });
}

Result<const Destination*> DictionaryView::destination(std::int64_t id) {
  return look_up(destinations_, kDestinationSql, id, [](const Cursor& c, Destination& d) {
    d.provider = c.text(0);
    d.service = c.text(1);
    d.region = c.text(2);
    d.host = c.text(3);
    d.address = c.text(4);
    d.port = static_cast<std::uint16_t>(c.integer(5));
    d.action = c.text(6);
    d.name_source = from_number<NameSource>(c.integer(7));
    d.ambiguous = c.integer(8) != 0;
  });
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

Result<Actor> DictionaryView::actor(std::int64_t workload_id, std::int64_t program_id, const InstanceId& instance, std::uint32_t uid) {
  auto place = workload(workload_id);
  if (!place) return std::unexpected(place.error());
  auto runs = program(program_id);
  if (!runs) return std::unexpected(runs.error());
  return Actor{instance, (*runs)->exe, (*runs)->program, (*runs)->comm, uid, (*runs)->user, (*runs)->login_user, **place};
}

}  // namespace keytrail::record
