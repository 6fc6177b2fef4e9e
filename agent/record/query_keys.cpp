// SPDX-License-Identifier: Apache-2.0
// Summaries: what is known of each key, and of each workload. They are put together from sightings, holdings and edges,
// not from rows.
#include <algorithm>
#include <unordered_map>

#include "agent/record/filter_sql.h"
#include "agent/record/reader.h"
#include "agent/record/sql_numbers.h"

namespace keytrail::record {
namespace {

constexpr std::size_t kMaxListed = 64;
constexpr std::int64_t kRateNs = 600'000'000'000;  // ten minutes

// One row per key id, its newest description. ?9 from, ?10 to, ?11 limit.
static constexpr char kKeysSql[] = KEYTRAIL_CHAIN
    "SELECT max(k.id), k.key_id FROM key k WHERE k.key_id != '' AND k.issued_s != -1 "
    "AND (?1 = '' OR k.key_id IN (SELECT key_id FROM chain)) AND (?5 = '' OR k.kind = ?5) "
    "AND ((?3 = '' AND ?6 = '' AND ?7 = '' AND ?8 = '' AND ?9 = 0 AND ?10 = 9223372036854775807) "
    "OR ((?6 = '' AND ?7 = '' AND ?8 = '') AND k.key_id IN (SELECT o.key_id FROM sighting s "
    "JOIN key o ON o.id = s.id_key "
    "WHERE s.last_ns >= ?9 AND s.first_ns < ?10 AND " KEYTRAIL_HAS_WORKLOAD("s.id_workload") ")) "
    "OR k.key_id IN (SELECT o.key_id FROM edge e JOIN candidate c ON c.keyset = e.keyset JOIN key o ON o.id = c.key "
    "WHERE e.last_ns >= ?9 AND e.first_ns < ?10 "
    "AND " KEYTRAIL_HAS_WORKLOAD("e.workload") "AND " KEYTRAIL_HAS_DESTINATION("e.destination") ")) "
    "GROUP BY k.key_id ORDER BY 1 LIMIT ?11";
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

// Workloads, each with its number first. ?3 name, ?4 prefix.
static constexpr char kNamesSql[] =
    "SELECT id FROM workload WHERE name != '' AND (?3 = '' OR " KEYTRAIL_IS_NAMED ") ORDER BY name, wid LIMIT ?5";
static constexpr char kProcessesSql[] =
    "SELECT workload, count(DISTINCT pid || ':' || start_ns) FROM holding GROUP BY workload";
static constexpr char kKeysOfSql[] =
    "SELECT workload, k.key_id, max(k.id) FROM (SELECT s.id_workload AS workload, o.key_id AS key_id FROM sighting s "
    "JOIN key o ON o.id = "
    "s.id_key UNION SELECT h.workload, o.key_id FROM holding h JOIN key o ON o.id = h.key) JOIN key k USING (key_id) "
    "WHERE k.issued_s != "
    "-1 GROUP BY workload, k.key_id";
static constexpr char kRecentSql[] =
    "SELECT workload, observed_ns, first_ns, last_ns, amount FROM rows WHERE kind = " KT_SQL_USE " ORDER BY seq DESC";
static constexpr char kPendingSql[] =
    "SELECT workload, pending_first_ns, pending_last_ns, pending_connections FROM edge WHERE pending_connections != 0";
static constexpr char kFindingsSql[] =
    "SELECT workload, count(*) FROM finding WHERE state = " KT_SQL_OPEN " GROUP BY workload";

std::string place_of(const Destination& d) {
  if (d.provider.empty()) return d.host.empty() ? d.address : d.host;
  std::string out = d.provider;
  for (const std::string* part : {&d.service, &d.region}) {
    if (!part->empty()) out += " / " + *part;
  }
  return out;
}

template <typename T>
void add_once(std::vector<T>& list, const T& value) {
  if (list.size() < kMaxListed && std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

/// Calls `each` for every row of a question.
template <typename Each>
Result<void> for_each(Cursor cursor, Each each) {
  while (true) {
    auto more = cursor.next();
    if (!more) return std::unexpected(more.error());
    if (!*more) return {};
    if (auto r = each(cursor); !r) return r;
  }
}

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

/// The part of a window of uses that lies in the last ten minutes, as uses per minute.
double rate_of(std::int64_t now_ns, std::int64_t first_ns, std::int64_t last_ns, std::uint64_t count) {
  const std::int64_t from = now_ns - kRateNs;
  if (last_ns < from) return 0;
  const double whole = static_cast<double>(std::max<std::int64_t>(last_ns - first_ns, 1));
  const double part =
      static_cast<double>(last_ns - std::max(first_ns, std::min(from, last_ns)) + (first_ns >= last_ns ? 1 : 0));
  return static_cast<double>(count) * std::clamp(part / whole, 0.0, 1.0) / 10.0;
}

void count_key(WorkloadSummary& workload, const Key& key) {
  if (key.key_class == KeyClass::kEncryptionKey || key.key_class == KeyClass::kCertificate) {
    ++workload.encryption;
  } else if (key.lifetime == Lifetime::kLongLived) {
    ++workload.long_lived;
  } else if (key.lifetime == Lifetime::kShortLived) {
    ++workload.short_lived;
  }
}

}  // namespace

Result<std::vector<KeySummary>> Reader::keys(const HistoryFilter& f) {
  if (auto r = check(f); !r) return std::unexpected(r.error());
  return reading<std::vector<KeySummary>>([&]() -> Result<std::vector<KeySummary>> {
    const NamePattern workload = name_pattern(f.workload);
    DictionaryView names(*db_);
    std::vector<KeySummary> keys;
    auto listed = for_each(db_->query(kKeysSql, f.key, f.chain, workload.text, workload.prefix, f.kind, f.provider,
                                      f.service, f.host, f.from_ns, end_of(f), f.limit),
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

Result<std::vector<WorkloadSummary>> Reader::workloads(const HistoryFilter& f) {
  if (auto r = check(f); !r) return std::unexpected(r.error());
  return reading<std::vector<WorkloadSummary>>([&]() -> Result<std::vector<WorkloadSummary>> {
    const NamePattern asked = name_pattern(f.workload);
    const std::int64_t now = clock_.wall_ns();
    DictionaryView names(*db_);
    std::vector<WorkloadSummary> out;
    std::unordered_map<std::int64_t, std::size_t> by_number;
    auto find = [&](std::int64_t number) -> WorkloadSummary* {
      auto found = by_number.find(number);
      return found == by_number.end() ? nullptr : &out[found->second];
    };
    auto listed =
        for_each(db_->query(kNamesSql, "", 0, asked.text, asked.prefix, f.limit), [&](const Cursor& c) -> Result<void> {
          auto workload = names.workload(c.integer(0));
          if (!workload) return std::unexpected(workload.error());
          by_number.emplace(c.integer(0), out.size());
          out.push_back({.workload = **workload});
          return {};
        });
    if (!listed) return std::unexpected(listed.error());
    auto processes = for_each(db_->query(kProcessesSql), [&](const Cursor& c) -> Result<void> {
      if (WorkloadSummary* w = find(c.integer(0))) w->processes = c.natural(1);
      return {};
    });
    if (!processes) return std::unexpected(processes.error());
    auto keys = for_each(db_->query(kKeysOfSql), [&](const Cursor& c) -> Result<void> {
      WorkloadSummary* w = find(c.integer(0));
      if (w == nullptr) return {};
      auto key = names.key(c.integer(2));
      if (!key) return std::unexpected(key.error());
      count_key(*w, **key);
      return {};
    });
    if (!keys) return std::unexpected(keys.error());
    {
      // From the newest row back to the first that was stored before the ten minutes began.
      Cursor c = db_->query(kRecentSql);
      while (true) {
        auto more = c.next();
        if (!more) return std::unexpected(more.error());
        if (!*more || c.integer(1) < now - kRateNs) break;
        if (WorkloadSummary* w = find(c.integer(0)))
          w->uses_per_minute += rate_of(now, c.integer(2), c.integer(3), c.natural(4));
      }
    }
    auto pending = for_each(db_->query(kPendingSql), [&](const Cursor& c) -> Result<void> {
      if (WorkloadSummary* w = find(c.integer(0)))
        w->uses_per_minute += rate_of(now, c.integer(1), c.integer(2), c.natural(3));
      return {};
    });
    if (!pending) return std::unexpected(pending.error());
    auto findings = for_each(db_->query(kFindingsSql), [&](const Cursor& c) -> Result<void> {
      if (WorkloadSummary* w = find(c.integer(0))) w->open_findings = c.natural(1);
      return {};
    });
    if (!findings) return std::unexpected(findings.error());
    return out;
  });
}

}  // namespace keytrail::record
