// SPDX-License-Identifier: Apache-2.0
#include "agent/record/dictionary.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <tuple>

#include "agent/base/workload_facts.h"
#include "agent/record/columns.h"
#include "agent/record/dictionary_view.h"

namespace keytrail::record {
namespace {

constexpr std::size_t kCacheEntries = 4'096;

static constexpr char kWorkloadSql[] =
    "INSERT INTO workload(wid, used_seq, kind, name, first_name, known_by) VALUES(?1, ?2, ?3, ?4, ?4, ?5) "
    "ON CONFLICT DO UPDATE SET used_seq = excluded.used_seq RETURNING id";
// What is told again keeps the time at which it was first known; what is older than what is kept says nothing.
static constexpr char kFactSql[] =
    "INSERT INTO workload_fact(wid, name, known_by, value, since_ns) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE "
    "SET value = excluded.value, since_ns = excluded.since_ns WHERE value != excluded.value "
    "AND since_ns < excluded.since_ns RETURNING 1";
// ?1 an id, also of a pod: then its containers, too ('0' follows '/').
static constexpr char kConcernedSql[] =
    "SELECT wid FROM workload WHERE wid = ?1 OR (wid > ?1 || '/' AND wid < ?1 || '0')";
static constexpr char kKnownSql[] =
    "SELECT value, since_ns FROM workload_fact WHERE wid = ?1 AND name = ?2 AND known_by = ?3";
// ?1 an id, ?2 how known, ?3 when.
static constexpr char kKnownSoSql[] =
    "SELECT name, value FROM workload_fact WHERE wid = ?1 AND known_by = ?2 AND value != '' AND since_ns < ?3 ORDER BY "
    "name";
// Stays as an empty value, which says nothing: a row that was made before may bring the old one once more. ?1 an id,
// also of a pod: then of its containers, too.
static constexpr char kWithdrawSql[] =
    "INSERT INTO workload_fact(wid, name, known_by, value, since_ns) SELECT wid, ?2, ?3, '', ?4 FROM (SELECT ?1 AS wid "
    "UNION SELECT wid FROM workload WHERE wid > ?1 || '/' AND wid < ?1 || '0') WHERE true ON CONFLICT DO UPDATE SET "
    "value = '', since_ns = excluded.since_ns WHERE since_ns < excluded.since_ns";
static constexpr char kMarkSql[] = "UPDATE workload SET used_seq = ?2 WHERE wid = ?1 RETURNING id";
static constexpr char kRenameSql[] =
    "UPDATE workload SET name = ?2, known_by = ?3 WHERE wid = ?1 AND (name != ?2 OR known_by != ?3)";
static constexpr char kKindSql[] = "SELECT kind FROM workload WHERE wid = ?1";
static constexpr char kKeysetSql[] =
    "INSERT INTO keyset(members, used_seq) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET used_seq = excluded.used_seq "
    "RETURNING id";
static constexpr char kCandidateSql[] =
    "INSERT OR IGNORE INTO candidate(keyset, position, key, slot, reason) VALUES(?1, ?2, ?3, ?4, ?5)";

// ?1: entries marked before this sequence may go. Key sets before keys and slots, whose users they are.
static constexpr char kRemoveKeysetsSql[] =
    "DELETE FROM keyset WHERE id IN (SELECT id FROM keyset WHERE used_seq < ?1 AND id NOT IN (SELECT keyset FROM edge "
    "UNION SELECT id_keyset FROM edge) LIMIT 2000)";
static constexpr char kRemoveCandidatesSql[] = "DELETE FROM candidate WHERE keyset NOT IN (SELECT id FROM keyset)";
static constexpr char kRemoveKeysSql[] =
    "DELETE FROM key WHERE id IN (SELECT id FROM key WHERE used_seq < ?1 AND id NOT IN (SELECT key FROM candidate "
    "UNION SELECT key FROM holding UNION SELECT id_key FROM holding UNION SELECT id_key FROM sighting) LIMIT 2000)";
static constexpr char kRemoveSlotsSql[] =
    "DELETE FROM slot WHERE id IN (SELECT id FROM slot WHERE used_seq < ?1 AND id NOT IN (SELECT slot FROM candidate "
    "UNION SELECT slot FROM holding UNION SELECT slot FROM sighting) LIMIT 2000)";
static constexpr char kRemoveWorkloadsSql[] =
    "DELETE FROM workload WHERE id IN (SELECT id FROM workload WHERE used_seq < ?1 AND id NOT IN (SELECT workload "
    "FROM edge UNION SELECT id_workload FROM edge UNION SELECT workload FROM holding UNION SELECT id_workload "
    "FROM sighting UNION SELECT workload FROM finding) LIMIT 2000)";
// Of workloads that are gone, and of pods of which no container is left.
static constexpr char kRemoveFactsSql[] =
    "DELETE FROM workload_fact WHERE since_ns < (SELECT coalesce(min(time_ns), 0) FROM rows WHERE seq = ?1) AND NOT "
    "EXISTS (SELECT 1 FROM workload w WHERE w.wid = workload_fact.wid OR (w.wid > workload_fact.wid || '/' "
    "AND w.wid < workload_fact.wid || '0'))";
static constexpr char kRemoveProgramsSql[] =
    "DELETE FROM program WHERE id IN (SELECT id FROM program WHERE used_seq < ?1 AND id NOT IN (SELECT program "
    "FROM edge UNION SELECT id_program FROM edge UNION SELECT program FROM holding) LIMIT 2000)";
static constexpr char kRemoveDestinationsSql[] =
    "DELETE FROM destination WHERE id IN (SELECT id FROM destination WHERE used_seq < ?1 "
    "AND id NOT IN (SELECT destination FROM edge UNION SELECT id_destination FROM edge) LIMIT 2000)";

/// Appends a value so that two different lists of values never look the same.
template <typename Value>
void pack(std::string& out, const Value& value) {
  if constexpr (std::is_enum_v<Value> || std::is_integral_v<Value>) {
    const auto number = static_cast<std::int64_t>(value);
    out.append(reinterpret_cast<const char*>(&number), sizeof number);
  } else {
    const std::string_view text = value;
    const std::size_t size = text.size();
    out.append(reinterpret_cast<const char*>(&size), sizeof size);
    out.append(text);
  }
}

}  // namespace

Key identity_of(const Key& key) {
  Key out;
  out.id = key.id;
  out.kind = key.kind;
  out.issued_s = kIdentityMark;
  return out;
}

Destination identity_of(const Destination& destination) {
  Destination out = destination;
  if (!out.host.empty()) out.address.clear();
  out.name_source = NameSource::kNone;
  out.ambiguous = false;
  return out;
}

template <typename... Values>
Result<std::int64_t> Dictionary::intern(Cache& cache, const char* sql, const Values&... values) {
  scratch_.clear();
  asked_ = false;
  (pack(scratch_, values), ...);
  auto found = cache.find(std::string_view(scratch_));
  if (found != cache.end() && seq_ - found->second.seq <= mark_every_) return found->second.id;
  Cursor cursor = db_.query(sql, values..., seq_);
  auto row = cursor.next();
  if (!row) return std::unexpected(row.error());
  if (!*row) return fail(Error::Code::kSystem, "the history gave no number for a dictionary entry");
  const std::int64_t id = cursor.integer(0);
  if (cache.size() >= kCacheEntries) cache.clear();
  cache[scratch_] = Entry{id, seq_};
  asked_ = true;
  return id;
}

Result<std::int64_t> Dictionary::workload(const Workload& w) {
  const auto cached = workloads_.find(w.id);
  if (cached != workloads_.end() && seq_ - cached->second.seq <= mark_every_) return cached->second.id;
  std::int64_t id = 0;
  {
    Cursor cursor = db_.query(kWorkloadSql, w.id, seq_, w.kind, w.name, w.known_by);
    auto row = cursor.next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return fail(Error::Code::kSystem, "the history gave no number for a workload");
    id = cursor.integer(0);
  }
  if (auto r = put_facts(w.id, w.facts); !r) return std::unexpected(r.error());
  if (auto r = rename(w.id); !r)
    return std::unexpected(r.error());  // the history may know more than this process's copy
  if (workloads_.size() >= kCacheEntries) workloads_.clear();
  workloads_[w.id] = Entry{id, seq_};
  return id;
}

Result<bool> Dictionary::put_facts(std::string_view wid, std::span<const Fact> facts) {
  bool changed = false;
  for (const Fact& fact : facts) {
    Cursor cursor = db_.query(kFactSql, wid, fact.name, fact.known_by, fact.value, fact.since_ns);
    auto row = cursor.next();
    if (!row) return std::unexpected(row.error());
    changed = *row || changed;
  }
  return changed;
}

Result<void> Dictionary::rename(std::string_view wid) {
  if (wid.empty()) return {};
  auto kind = db_.number(kKindSql, 0, wid);
  if (!kind) return std::unexpected(kind.error());
  auto facts = read_facts(db_, wid);
  if (!facts) return std::unexpected(facts.error());
  if (facts->empty()) return {};
  const base::ShownName name = base::shown_name(from_number<WorkloadKind>(*kind), *facts);
  return db_.run(kRenameSql, wid, name.text, name.known_by);
}

Result<std::string> Dictionary::news_of(const WorkloadFacts& facts) {
  constexpr std::size_t kMost = 900;  // bytes; the row's workload has the rest
  std::string out;
  std::size_t more = 0;
  for (const Fact& fact : facts.facts) {
    Cursor known = db_.query(kKnownSql, facts.id, fact.name, fact.known_by);
    auto row = known.next();
    if (!row) return std::unexpected(row.error());
    const bool sure = fact.known_by <= KnownBy::kCluster;
    if (*row && (!sure || known.text(0) == fact.value || known.integer(1) >= fact.since_ns)) continue;
    if (out.size() > kMost)
      ++more;
    else
      out += fmt::format("{}{}={} ({})", out.empty() ? "" : ", ", fact.name, fact.value, to_string(fact.known_by));
  }
  return more == 0 ? out : fmt::format("{} and {} more", out, more);
}

Result<std::string> Dictionary::withdraw(const WorkloadFacts& facts) {
  std::string out;
  if (!facts.whole) return out;
  const std::int64_t since_ns = facts.whole->since_ns;
  std::vector<Fact> gone;
  for (const KnownBy known_by : {facts.whole->known_by, KnownBy::kClaimed}) {
    if (known_by == KnownBy::kClaimed && facts.whole->nor_claimed.empty()) continue;
    Cursor cursor = db_.query(kKnownSoSql, facts.id, known_by, since_ns);
    while (true) {
      auto row = cursor.next();
      if (!row) return std::unexpected(row.error());
      if (!*row) break;
      const bool stays =
          !facts.whole->speaks_of(cursor.text(0), known_by) || std::ranges::any_of(facts.facts, [&](const Fact& one) {
            return one.known_by == known_by && one.name == cursor.text(0);
          });
      if (!stays) gone.push_back({std::string(cursor.text(0)), std::string(cursor.text(1)), known_by});
    }
  }
  for (const Fact& one : gone) {
    if (auto r = db_.run(kWithdrawSql, facts.id, one.name, one.known_by, since_ns); !r)
      return std::unexpected(r.error());
    out += fmt::format("{}{} no longer {} ({})", out.empty() ? "" : ", ", one.name, one.value, to_string(one.known_by));
  }
  return out;
}

Result<Dictionary::News> Dictionary::learn(const WorkloadFacts& facts) {
  News out;
  auto text = news_of(facts);
  if (!text) return std::unexpected(text.error());
  out.text = std::move(*text);
  auto gone = withdraw(facts);
  if (!gone) return std::unexpected(gone.error());
  if (!gone->empty()) out.text += (out.text.empty() ? "" : ", ") + *gone;
  auto changed = put_facts(facts.id, facts.facts);
  if (!changed) return std::unexpected(changed.error());
  if (!*changed && gone->empty()) return out;
  std::vector<std::string> concerned;
  {
    Cursor cursor = db_.query(kConcernedSql, facts.id);
    while (true) {
      auto row = cursor.next();
      if (!row) return std::unexpected(row.error());
      if (!*row) break;
      concerned.push_back(cursor.text(0));
    }
  }
  for (const std::string& wid : concerned) {
    if (auto r = rename(wid); !r) return std::unexpected(r.error());
    if (out.text.empty()) continue;
    auto number = db_.number(kMarkSql, 0, wid, seq_);
    if (!number) return std::unexpected(number.error());
    out.workloads.push_back(*number);
  }
  return out;
}

Result<std::int64_t> Dictionary::program(const Actor& a, Ran of) {
  const ExecutableFile file = of == Ran::kProcess ? a.file : ExecutableFile{};
  const auto values_of = [&]<typename Line>(const Line& line) {
    using Value = ValueOf<decltype(line.get), Actor>;
    if constexpr (std::is_same_v<Value, ExecutableFile>) {
      return std::apply([&](const auto&... part) { return std::tuple(get_from(part.get, file)...); },
                        Fields<ExecutableFile>::kList);
    } else if constexpr (kInTable<Actor, Value>) {
      static_assert(std::is_member_object_pointer_v<decltype(line.get)>, "the view below outlives a text made here");
      const std::string& text = get_from(line.get, a);
      const bool left_out = (of != Ran::kProcess && &text == &a.comm) || (of == Ran::kUse && &text == &a.session);
      return std::tuple(left_out ? std::string_view() : std::string_view(text));
    } else {
      return std::tuple<>();
    }
  };
  const auto values =
      std::apply([&](const auto&... line) { return std::tuple_cat(values_of(line)...); }, Fields<Actor>::kList);
  return std::apply([&](const auto&... value) { return intern(programs_, insert_sql<Actor>(), value...); }, values);
}

template <typename Record>
Result<std::int64_t> Dictionary::intern_record(Cache& cache, const Record& record) {
  return std::apply(
      [&](const auto&... line) { return intern(cache, insert_sql<Record>(), stored(get_from(line.get, record))...); },
      Fields<Record>::kList);
}

Result<std::int64_t> Dictionary::key(const Key& k) { return intern_record(keys_, k); }
Result<std::int64_t> Dictionary::slot(const Slot& s) { return intern_record(slots_, s); }
Result<std::int64_t> Dictionary::destination(const Destination& d) { return intern_record(destinations_, d); }

Result<std::int64_t> Dictionary::keyset(const std::vector<Candidate>& candidates, bool identity) {
  struct Member {
    std::int64_t key, slot, reason;
  };
  std::vector<Member> members;
  std::string text;
  for (const Candidate& candidate : candidates) {
    auto key_number = key(identity ? identity_of(candidate.key) : candidate.key);
    if (!key_number) return key_number;
    auto slot_number = slot(candidate.slot);
    if (!slot_number) return slot_number;
    members.push_back({*key_number, *slot_number, static_cast<std::int64_t>(candidate.reason)});
    fmt::format_to(std::back_inserter(text), "{}:{}:{} ", *key_number, *slot_number, members.back().reason);
  }
  auto id = intern(keysets_, kKeysetSql, text);
  if (!id || !asked_) return id;
  std::int64_t position = 0;
  for (const Member& member : members) {
    if (auto r = db_.run(kCandidateSql, *id, position++, member.key, member.slot, member.reason); !r)
      return std::unexpected(r.error());
  }
  return id;
}

void Dictionary::forget() {
  for (Cache* cache : {&workloads_, &programs_, &keys_, &slots_, &destinations_, &keysets_})
    cache->clear();
}

Result<std::int64_t> Dictionary::remove_unused(std::uint64_t oldest_seq) {
  if (oldest_seq <= mark_every_) return 0;
  const std::uint64_t before = oldest_seq - mark_every_;
  std::int64_t removed = 0;
  for (const char* sql : {kRemoveKeysetsSql, kRemoveKeysSql, kRemoveSlotsSql, kRemoveWorkloadsSql, kRemoveProgramsSql,
                          kRemoveDestinationsSql}) {
    if (auto r = db_.run(sql, before); !r) return std::unexpected(r.error());
    removed += sqlite3_changes64(db_.handle());
    if (sql == kRemoveKeysetsSql) {
      if (auto r = db_.run(kRemoveCandidatesSql); !r) return std::unexpected(r.error());
    }
  }
  if (auto r = db_.run(kRemoveFactsSql, oldest_seq); !r) return std::unexpected(r.error());
  return removed;
}

}  // namespace keytrail::record
