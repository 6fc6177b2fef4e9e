// SPDX-License-Identifier: Apache-2.0
// Which workloads are asked for, and what is known of each: put together from sightings, holdings and edges, not from
// rows. Those that are shown alike (the pods of one deployment) are one.
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "agent/base/workload_pattern.h"
#include "agent/record/filter_sql.h"
#include "agent/record/listing.h"
#include "agent/record/reader.h"
#include "agent/record/sql_numbers.h"

namespace keytrail::record {
namespace {

constexpr std::int64_t kRateNs = 600'000'000'000;  // ten minutes

static constexpr char kNamesSql[] = "SELECT id, wid, name, first_name FROM workload";
static constexpr char kFactsSql[] = "SELECT wid, name, value FROM workload_fact";
// ?1 an id, also of a pod: then its containers, too ('0' follows '/'), but for what another container calls so.
static constexpr char kMembersSql[] =
    "SELECT id FROM workload WHERE wid = ?1 OR (wid > ?1 || '/' AND wid < ?1 || '0' AND wid NOT GLOB 'pod:*/*/*')";

// ?1 and ?2 from and to; ?3 workloads.
static constexpr char kListSql[] =
    "SELECT id, wid, name FROM workload WHERE name != '' AND " KEYTRAIL_HAS_WORKLOAD("id") "ORDER BY name, wid";
static constexpr char kProcessesSql[] =
    "SELECT workload, count(DISTINCT pid || ':' || start_ns), min(since_ns) FROM holding WHERE since_ns < ?2 GROUP "
    "BY workload";
static constexpr char kKeysOfSql[] =
    "SELECT workload, k.key_id, max(k.id) FROM (SELECT s.id_workload AS workload, o.key_id AS key_id FROM sighting s "
    "JOIN key o ON o.id = s.id_key WHERE s.last_ns >= ?1 AND s.first_ns < ?2 UNION SELECT h.workload, o.key_id FROM "
    "holding h JOIN key o ON o.id = h.key WHERE h.since_ns < ?2) JOIN key k USING (key_id) WHERE k.issued_s != -1 "
    "GROUP "
    "BY workload, k.key_id";
static constexpr char kSourcesSql[] =
    "SELECT id_workload, slot, first_ns, last_ns FROM sighting WHERE last_ns >= ?1 AND first_ns < ?2 ORDER BY first_ns";
static constexpr char kCalledSql[] =
    "SELECT workload, destination, first_ns, last_ns FROM edge WHERE last_ns >= ?1 AND first_ns < ?2 ORDER BY first_ns";
static constexpr char kRecentSql[] =
    "SELECT workload, observed_ns, first_ns, last_ns, amount FROM rows WHERE kind = " KT_SQL_USE " ORDER BY seq DESC";
static constexpr char kPendingSql[] =
    "SELECT workload, pending_first_ns, pending_last_ns, pending_connections FROM edge WHERE pending_connections != 0";
static constexpr char kFindingsSql[] =
    "SELECT workload, count(*) FROM finding WHERE state = " KT_SQL_OPEN " GROUP BY workload";

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
  } else {
    ++workload.unknown_lifetime;
  }
  const auto same = std::ranges::find_if(workload.keys, [&](const KeyCount& one) {
    return one.key_class == key.key_class && one.lifetime == key.lifetime;
  });
  if (same == workload.keys.end())
    workload.keys.push_back({key.key_class, key.lifetime, 1});
  else
    ++same->count;
}

class WorkloadAnswers {
 public:
  WorkloadAnswers(Database& db, const HistoryFilter& filter, std::int64_t now_ns)
      : db_(db), names_(db), filter_(filter), now_(now_ns) {}

  Result<std::vector<WorkloadSummary>> all() {
    const auto asked = workload_numbers(db_, filter_);
    if (!asked) return std::unexpected(asked.error());
    if (auto r = list(*asked); !r) return std::unexpected(r.error());
    for (auto step : {&WorkloadAnswers::processes, &WorkloadAnswers::keys, &WorkloadAnswers::sources,
                      &WorkloadAnswers::called, &WorkloadAnswers::rates, &WorkloadAnswers::findings}) {
      if (auto r = (this->*step)(); !r) return std::unexpected(r.error());
    }
    std::vector<WorkloadSummary> out;
    const bool of_a_period = filter_.from_ns != 0 || filter_.to_ns != 0;
    for (Group& group : groups_) {
      if (of_a_period && group.is.last_seen_ns == 0) continue;
      auto newest = names_.workload(group.newest);
      if (!newest) return std::unexpected(newest.error());
      group.is.workload = **newest;
      std::ranges::sort(group.is.keys, {}, [](const KeyCount& one) { return std::pair(one.key_class, one.lifetime); });
      out.push_back(std::move(group.is));
      if (out.size() > filter_.limit) break;
    }
    return out;
  }

 private:
  struct Group {
    WorkloadSummary is;
    std::int64_t newest = 0;  ///< its number
  };

  template <typename Each>
  Result<void> in_period(const char* sql, Each each) {
    return for_each(db_.query(sql, filter_.from_ns, end_of(filter_)), [&](const Cursor& c) -> Result<void> {
      const auto found = by_number_.find(c.integer(0));
      return found == by_number_.end() ? Result<void>{} : each(c, groups_[found->second]);
    });
  }
  WorkloadSummary* find(std::int64_t number) {
    const auto found = by_number_.find(number);
    return found == by_number_.end() ? nullptr : &groups_[found->second].is;
  }
  static void seen(Group& group, std::int64_t number, std::int64_t first_ns, std::int64_t last_ns) {
    WorkloadSummary& is = group.is;
    if (first_ns != 0 && (is.first_seen_ns == 0 || first_ns < is.first_seen_ns)) is.first_seen_ns = first_ns;
    if (last_ns < is.last_seen_ns) return;
    is.last_seen_ns = last_ns;
    group.newest = number;
  }

  Result<void> list(const std::string& asked) {
    std::string name;
    return for_each(db_.query(kListSql, 0, 0, asked), [&](const Cursor& c) -> Result<void> {
      if (groups_.empty() || name != c.text(2)) groups_.push_back({.newest = c.integer(0)});
      name = c.text(2);
      by_number_.emplace(c.integer(0), groups_.size() - 1);
      WorkloadSummary& is = groups_.back().is;
      ++is.ids_total;
      if (is.ids.size() < kMaxListed) is.ids.push_back(c.text(1));
      return {};
    });
  }
  Result<void> processes() {
    return in_period(kProcessesSql, [&](const Cursor& c, Group& group) -> Result<void> {
      group.is.processes += c.natural(1);
      seen(group, c.integer(0), c.integer(2), std::min(now_, end_of(filter_)));
      return {};
    });
  }
  Result<void> keys() {
    std::set<std::pair<std::size_t, std::string>> counted;  // one key of several pods is one
    return in_period(kKeysOfSql, [&](const Cursor& c, Group& group) -> Result<void> {
      if (!counted.emplace(&group - groups_.data(), c.text(1)).second) return {};
      auto key = names_.key(c.integer(2));
      if (!key) return std::unexpected(key.error());
      count_key(group.is, **key);
      return {};
    });
  }
  Result<void> sources() {
    return in_period(kSourcesSql, [&](const Cursor& c, Group& group) -> Result<void> {
      seen(group, c.integer(0), c.integer(2), c.integer(3));
      auto slot = names_.slot(c.integer(1));
      if (!slot) return std::unexpected(slot.error());
      if (!(*slot)->place.empty() || (*slot)->from != From::kUnknown) add_once(group.is.sources, **slot);
      return {};
    });
  }
  Result<void> called() {
    return in_period(kCalledSql, [&](const Cursor& c, Group& group) -> Result<void> {
      seen(group, c.integer(0), c.integer(2), c.integer(3));
      if (c.integer(1) == 0) return {};  // a reader of keys
      auto to = names_.destination(c.integer(1));
      if (!to) return std::unexpected(to.error());
      add_once(group.is.destinations, place_of(**to));
      return {};
    });
  }
  Result<void> rates() {
    {
      // From the newest row back to the first that was stored before the ten minutes began.
      Cursor c = db_.query(kRecentSql);
      while (true) {
        auto more = c.next();
        if (!more) return std::unexpected(more.error());
        if (!*more || c.integer(1) < now_ - kRateNs) break;
        if (WorkloadSummary* w = find(c.integer(0)))
          w->uses_per_minute += rate_of(now_, c.integer(2), c.integer(3), c.natural(4));
      }
    }
    return for_each(db_.query(kPendingSql), [&](const Cursor& c) -> Result<void> {
      if (WorkloadSummary* w = find(c.integer(0)))
        w->uses_per_minute += rate_of(now_, c.integer(1), c.integer(2), c.natural(3));
      return {};
    });
  }
  Result<void> findings() {
    return for_each(db_.query(kFindingsSql), [&](const Cursor& c) -> Result<void> {
      if (WorkloadSummary* w = find(c.integer(0))) w->open_findings += c.natural(1);
      return {};
    });
  }

  Database& db_;
  DictionaryView names_;
  const HistoryFilter& filter_;
  const std::int64_t now_;
  std::vector<Group> groups_;
  std::unordered_map<std::int64_t, std::size_t> by_number_;
};

}  // namespace

std::string place_of(const Destination& d) {
  if (d.provider.empty()) return d.host.empty() ? d.address : d.host;
  std::string out = d.provider;
  for (const std::string* part : {&d.service, &d.region}) {
    if (!part->empty()) out += " / " + *part;
  }
  return out;
}

Result<std::string> workload_numbers(Database& db, const HistoryFilter& filter) {
  if (filter.workload.empty()) return std::string();
  const auto pattern = base::WorkloadPattern::parse(filter.workload);
  if (!pattern) return std::unexpected(pattern.error());
  std::set<std::int64_t> found;
  auto named = for_each(db.query(kNamesSql), [&](const Cursor& c) -> Result<void> {
    const std::string names[] = {c.text(1), c.text(2), c.text(3)};
    if (std::ranges::any_of(names, [&](const std::string& one) { return pattern->matches_name(one); }))
      found.insert(c.integer(0));
    return {};
  });
  if (!named) return std::unexpected(named.error());
  // A fact alone tells who may be meant; all that are known of those few decide.
  std::set<std::string> likely;
  auto facts = for_each(db.query(kFactsSql), [&](const Cursor& c) -> Result<void> {
    if (pattern->may_match(c.text(1), c.text(2))) likely.insert(c.text(0));
    return {};
  });
  if (!facts) return std::unexpected(facts.error());
  DictionaryView names(db);
  for (const std::string& wid : likely) {
    auto members = for_each(db.query(kMembersSql, wid), [&](const Cursor& c) -> Result<void> {
      if (found.contains(c.integer(0))) return {};
      auto workload = names.workload(c.integer(0));
      if (!workload) return std::unexpected(workload.error());
      if (pattern->matches(**workload)) found.insert(c.integer(0));
      return {};
    });
    if (!members) return std::unexpected(members.error());
  }
  return fmt::format("[{}]", fmt::join(found, ","));
}

Result<std::vector<WorkloadSummary>> Reader::workloads(const HistoryFilter& f) {
  if (auto r = check(f); !r) return std::unexpected(r.error());
  return reading<std::vector<WorkloadSummary>>([&] { return WorkloadAnswers(*db_, f, clock_.wall_ns()).all(); });
}

}  // namespace keytrail::record
