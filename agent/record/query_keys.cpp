// SPDX-License-Identifier: Apache-2.0
// What is known of each key, put together from sightings, holdings and edges, not from rows.
#include <algorithm>

#include "agent/record/filter_sql.h"
#include "agent/record/listing.h"
#include "agent/record/reader.h"
#include "agent/record/sql_numbers.h"

namespace keytrail::record {
namespace {

// One row per key id, its newest description. ?9 from, ?10 to, ?11 limit. A key is of a period when it was taken, held
// or used in it: who took it before and has it still is among them.
static constexpr char kKeysSql[] = KEYTRAIL_CHAIN
    "SELECT id FROM (SELECT max(k.id) AS id, k.lifetime AS lifetime FROM key k WHERE k.key_id != '' AND k.issued_s != "
    "-1 AND (?1 = '' OR k.key_id IN (SELECT key_id FROM chain)) AND (?5 = '' OR k.kind = ?5) "
    "AND ((?3 = '' AND ?6 = '' AND ?7 = '' AND ?8 = '' AND ?9 = 0 AND ?10 = 9223372036854775807) "
    "OR ((?6 = '' AND ?7 = '' AND ?8 = '') AND (k.key_id IN (SELECT o.key_id FROM sighting s JOIN key o ON o.id = "
    "s.id_key WHERE s.last_ns >= ?9 AND s.first_ns < ?10 AND " KEYTRAIL_HAS_WORKLOAD("s.id_workload") ") "
    "OR k.key_id IN (SELECT o.key_id FROM holding h JOIN key o ON o.id = h.id_key WHERE h.since_ns < ?10 "
    "AND " KEYTRAIL_HAS_WORKLOAD("h.workload") "))) "
    "OR k.key_id IN (SELECT o.key_id FROM edge e JOIN candidate c ON c.keyset = e.keyset JOIN key o ON o.id = c.key "
    "WHERE e.last_ns >= ?9 AND e.first_ns < ?10 "
    "AND " KEYTRAIL_HAS_WORKLOAD("e.workload") "AND " KEYTRAIL_HAS_DESTINATION("e.destination") ")) "
    "GROUP BY k.key_id) WHERE ?4 < 0 OR ?4 >> lifetime & 1 ORDER BY id LIMIT ?11";
static constexpr char kSightingsSql[] =
    "SELECT k.key_id, s.slot, w.name, s.first_ns FROM sighting s JOIN key k ON k.id = s.id_key "
    "JOIN workload w ON w.id = s.id_workload ORDER BY s.first_ns";
static constexpr char kHeldSql[] =
    "SELECT k.key_id, count(DISTINCT h.pid || ':' || h.start_ns), min(h.since_ns), max(h.last_use_ns) "
    "FROM holding h JOIN key k ON k.id = h.key GROUP BY k.key_id";
static constexpr char kUsedSql[] =
    "SELECT k.key_id, c.slot, e.destination, w.name, min(e.first_ns), max(e.last_ns) FROM edge e JOIN candidate c ON "
    "c.keyset = e.keyset "
    "JOIN key k ON k.id = c.key JOIN workload w ON w.id = e.workload WHERE e.id_destination != 0 GROUP BY k.key_id, "
    "c.slot, e.destination, w.name";
// The newest last: it is the one that is shown.
static constexpr char kReplacedSql[] =
    "SELECT h.old_id, h.new_id, h.time_ns, h.after_ns FROM slot_history h LEFT JOIN slot_now n USING (container, "
    "place, selector) "
    "WHERE coalesce(n.key_id, '') != h.old_id ORDER BY h.id";

class KeyAnswers {
 public:
  KeyAnswers(Database& db, std::vector<KeySummary>& keys) : db_(db), names_(db) {
    for (KeySummary& key : keys)
      by_id_.emplace(key.key.id, &key);
  }

  Result<void> fill() {
    if (auto r = for_each(db_.query(kSightingsSql), [this](const Cursor& c) { return sighted(c); }); !r) return r;
    if (auto r = for_each(db_.query(kHeldSql), [this](const Cursor& c) { return held(c); }); !r) return r;
    if (auto r = for_each(db_.query(kUsedSql), [this](const Cursor& c) { return used(c); }); !r) return r;
    return for_each(db_.query(kReplacedSql), [this](const Cursor& c) { return replaced(c); });
  }

 private:
  KeySummary* find(const std::string& id) {
    auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
  }
  static void seen_at(KeySummary& key, std::int64_t at_ns) {
    if (at_ns != 0 && (key.first_seen_ns == 0 || at_ns < key.first_seen_ns)) key.first_seen_ns = at_ns;
  }
  Result<void> add_slot(KeySummary& key, std::int64_t id) {
    auto slot = names_.slot(id);
    if (!slot) return std::unexpected(slot.error());
    if (!(*slot)->place.empty() || (*slot)->from != From::kUnknown) add_once(key.slots, **slot);
    return {};
  }
  Result<void> sighted(const Cursor& c) {
    KeySummary* key = find(c.text(0));
    if (key == nullptr) return {};
    add_once(key->workloads, c.text(2));
    seen_at(*key, c.integer(3));
    return add_slot(*key, c.integer(1));
  }
  Result<void> held(const Cursor& c) {
    KeySummary* key = find(c.text(0));
    if (key == nullptr) return {};
    key->holders = c.natural(1);
    seen_at(*key, c.integer(2));
    key->last_use_ns = std::max(key->last_use_ns, c.integer(3));
    return {};
  }
  Result<void> used(const Cursor& c) {
    KeySummary* key = find(c.text(0));
    if (key == nullptr) return {};
    auto destination = names_.destination(c.integer(2));
    if (!destination) return std::unexpected(destination.error());
    add_once(key->used_for, place_of(**destination));
    add_once(key->workloads, c.text(3));
    seen_at(*key, c.integer(4));
    key->last_use_ns = std::max(key->last_use_ns, c.integer(5));
    return add_slot(*key, c.integer(1));
  }
  Result<void> replaced(const Cursor& c) {
    KeySummary* key = find(c.text(0));
    if (key == nullptr) return {};
    key->replaced_by = c.text(1);
    key->replaced_ns = c.integer(2);
    key->replaced_after_ns = c.integer(3);
    return {};
  }

  Database& db_;
  DictionaryView names_;
  std::map<std::string, KeySummary*> by_id_;
};

}  // namespace

Result<std::vector<KeySummary>> Reader::keys(const HistoryFilter& f) {
  if (auto r = check(f); !r) return std::unexpected(r.error());
  return reading<std::vector<KeySummary>>([&]() -> Result<std::vector<KeySummary>> {
    const auto workloads = workload_numbers(*db_, f);
    if (!workloads) return std::unexpected(workloads.error());
    DictionaryView names(*db_);
    std::vector<KeySummary> keys;
    auto listed = for_each(db_->query(kKeysSql, f.key, f.chain, *workloads, lifetime_bits(f), f.kind, f.provider,
                                      f.service, f.host, f.from_ns, end_of(f), f.limit + 1),
                           [&](const Cursor& c) -> Result<void> {
                             auto key = names.key(c.integer(0));
                             if (!key) return std::unexpected(key.error());
                             keys.push_back({.key = **key});
                             return {};
                           });
    if (!listed) return std::unexpected(listed.error());
    if (auto r = KeyAnswers(*db_, keys).fill(); !r) return std::unexpected(r.error());
    return keys;
  });
}

}  // namespace keytrail::record
