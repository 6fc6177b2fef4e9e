// SPDX-License-Identifier: Apache-2.0
// Where a key was found: from sightings, with who read it last from the newest row, holding or reader of that place,
// and what the place holds by now.
#include <algorithm>
#include <map>
#include <utility>

#include "agent/record/filter_sql.h"
#include "agent/record/reader.h"
#include "agent/record/sql_numbers.h"

namespace keytrail::record {
namespace {

// A password has no fingerprint here, but a tag at the end of its id: equal ones are one secret, whatever login or host
// they stand for.
#define KEYTRAIL_COPIES                                                                                        \
  "WITH RECURSIVE chain(key_id) AS (SELECT ?1 UNION SELECT key_id FROM key WHERE fingerprint = ?1 AND ?1 != "  \
  "'' UNION SELECT key_id FROM key WHERE substr(?1, -18, 2) = ' #' AND substr(key_id, -18) = substr(?1, -18) " \
  "UNION SELECT k.key_id FROM chain c JOIN key k ON k.parent = c.key_id WHERE ?2 AND c.key_id != '') "

// ?1 key, ?2 with its chain
static constexpr char kSightingsSql[] = KEYTRAIL_COPIES
    "SELECT k.key_id, s.slot, s.first_ns, s.last_ns, s.id_workload, (SELECT max(n.id) FROM key n WHERE n.key_id = "
    "k.key_id) FROM sighting s JOIN key k ON k.id = s.id_key WHERE k.key_id != '' AND k.key_id IN (SELECT key_id FROM "
    "chain) ORDER BY s.first_ns";
static constexpr char kReadsSql[] = KEYTRAIL_COPIES
    "SELECT k.key_id, c.slot, r.time_ns, r.workload, r.program, r.pid, r.start_ns, r.exec, r.uid FROM rows r JOIN "
    "candidate c ON c.keyset = r.keyset JOIN key k ON k.id = c.key WHERE r.kind = " KT_SQL_ACQUISITION
    " AND k.key_id IN (SELECT key_id "
    "FROM chain) UNION ALL SELECT k.key_id, h.slot, h.since_ns, h.workload, h.program, h.pid, h.start_ns, h.exec, "
    "h.uid "
    "FROM holding h JOIN key k ON k.id = h.key WHERE k.key_id IN (SELECT key_id FROM chain) UNION ALL SELECT k.key_id, "
    "c.slot, e.last_ns, e.workload, e.program, e.pid, e.start_ns, e.exec, e.uid FROM edge e JOIN candidate c "
    "ON c.keyset = e.keyset JOIN key k ON k.id = c.key WHERE e.id_destination = 0 AND k.key_id IN (SELECT key_id "
    "FROM chain) ORDER BY 3";
// One path in two containers: the key is gone from the place only when no slot of that name has it.
static constexpr char kReplacedSql[] = KEYTRAIL_COPIES
    "SELECT h.old_id, h.place, h.selector, h.new_id, h.time_ns FROM slot_history h WHERE h.old_id IN (SELECT key_id "
    "FROM chain) AND NOT EXISTS (SELECT 1 FROM slot_now n WHERE n.place = h.place AND n.selector = h.selector AND "
    "n.key_id = h.old_id) ORDER BY h.id";

class Places {
 public:
  Places(Database& db, std::size_t most) : db_(db), names_(db), most_(most) {}

  Result<std::vector<KeyPlace>> of(const HistoryFilter& f) {
    if (auto r = each(kSightingsSql, f, &Places::sighted); !r) return std::unexpected(r.error());
    if (auto r = each(kReadsSql, f, &Places::read); !r) return std::unexpected(r.error());
    if (auto r = each(kReplacedSql, f, &Places::replaced); !r) return std::unexpected(r.error());
    std::vector<KeyPlace> out;
    out.reserve(found_.size());
    for (auto& [id, place] : found_)
      out.push_back(std::move(place));
    std::ranges::sort(out, {}, [](const KeyPlace& one) { return std::pair(one.first_ns, one.slot.place); });
    return out;
  }

 private:
  Result<void> each(const char* sql, const HistoryFilter& f, Result<void> (Places::*take)(const Cursor&)) {
    Cursor cursor = db_.query(sql, f.key, f.chain);
    while (true) {
      auto more = cursor.next();
      if (!more) return std::unexpected(more.error());
      if (!*more) return {};
      if (auto r = (this->*take)(cursor); !r) return r;
    }
  }

  Result<void> sighted(const Cursor& c) {
    const std::pair id(c.text(0), c.integer(1));
    auto known = found_.find(id);
    if (known == found_.end()) {
      if (found_.size() >= most_) return {};
      const auto slot = names_.slot(c.integer(1));
      if (!slot) return std::unexpected(slot.error());
      if ((*slot)->place.empty() && (*slot)->from == From::kUnknown) return {};
      const auto key = names_.key(c.integer(5));
      if (!key) return std::unexpected(key.error());
      known = found_.emplace(id, KeyPlace{.key = **key, .slot = **slot, .first_ns = c.integer(2)}).first;
    }
    KeyPlace& place = known->second;
    if (c.integer(3) <= place.last_ns) return {};  // what was read, and by whom, reads know better
    const auto workload = names_.workload(c.integer(4));
    if (!workload) return std::unexpected(workload.error());
    place.last_ns = c.integer(3);
    place.by = {};
    place.by.workload = **workload;
    return {};
  }

  Result<void> read(const Cursor& c) {
    const auto known = found_.find({c.text(0), c.integer(1)});
    if (known == found_.end()) return {};
    std::int64_t& last_read = reads_[known->first];
    if (c.integer(2) < last_read) return {};
    last_read = c.integer(2);
    const InstanceId instance{static_cast<std::uint32_t>(c.integer(5)), c.natural(6),
                              static_cast<std::uint32_t>(c.integer(7))};
    auto actor = names_.actor(c.integer(3), c.integer(4), instance, static_cast<std::uint32_t>(c.integer(8)));
    if (!actor) return std::unexpected(actor.error());
    known->second.last_ns = c.integer(2);
    known->second.by = std::move(*actor);
    return {};
  }

  Result<void> replaced(const Cursor& c) {
    for (auto& [id, place] : found_) {
      const bool same = place.key.id == c.text(0) && place.slot.place == c.text(1) && place.slot.selector == c.text(2);
      if (!same || place.slot.from != From::kFile) continue;
      place.replaced_by = c.text(3);
      place.replaced_ns = c.integer(4);
    }
    return {};
  }

  Database& db_;
  DictionaryView names_;
  std::size_t most_;
  std::map<std::pair<std::string, std::int64_t>, KeyPlace> found_;      ///< by key id and slot
  std::map<std::pair<std::string, std::int64_t>, std::int64_t> reads_;  ///< the newest of each
};

}  // namespace

Result<std::vector<KeyPlace>> Reader::places(const HistoryFilter& filter) {
  if (auto r = check(filter); !r) return std::unexpected(r.error());
  return reading<std::vector<KeyPlace>>([&] { return Places(*db_, filter.limit + 1).of(filter); });
}

}  // namespace keytrail::record
