// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/workload_table.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "agent/base/workload_facts.h"
#include "agent/catalog/secret_guard.h"

namespace keytrail::identify {
namespace {

Workload build(std::string id, WorkloadKind kind, std::vector<Fact> facts) {
  Workload out{.id = std::move(id), .kind = kind};
  base::ShownName name = base::shown_name(kind, facts);
  out.name = std::move(name.text);
  out.known_by = name.known_by;
  out.facts = std::move(facts);
  return out;
}

/// Numbers by which kernel and runtimes tell things apart; whatever else a fact says, somebody may have typed.
bool is_number(std::string_view name) {
  return name == fact::kPodUid || name == fact::kContainerId || name == fact::kImageDigest || name == fact::kCgroup ||
         name == fact::kOuterContainer || name == fact::kOuterPod;
}

constexpr std::int64_t kLookEveryNs = 1'000'000'000;

}  // namespace

std::shared_ptr<const Workload> WorkloadTable::find(const std::string& id) const {
  const auto it = known_.find(id);
  return it == known_.end() ? nullptr : it->second.workload;
}

std::string WorkloadTable::name_of(const std::string& id) const {
  const auto it = known_.find(id);
  return it == known_.end() ? id : it->second.workload->name;
}

std::shared_ptr<const Workload> WorkloadTable::make(std::string id, WorkloadKind kind, const std::vector<Fact>& facts,
                                                    std::string_view owner) {
  std::vector<Fact> all;
  const auto add = [&](const std::vector<Fact>& some) {
    for (Fact one : some) {
      if (one.since_ns == 0) one.since_ns = wall_ns_();
      if (base::join_fact(all, std::move(one)) == base::Joined::kRefused) ++stats_.facts_refused;
    }
  };
  add(facts);
  for (const std::string_view of : {std::string_view(id), base::parent_id(id)}) {
    if (const auto it = learnt_.find(of); it != learnt_.end()) add(it->second.facts);
  }
  auto made = std::make_shared<const Workload>(build(id, kind, std::move(all)));
  if (auto room = make_room(id, owner)) {
    known_.emplace(std::move(id), Entry{made, std::move(room)});
    made_.push_back(made);
  } else {
    turn_away(made->name);
  }
  return made;
}

// Those that no process refers to any more go first. They are looked for once a second: whoever has too many in use
// must not cost a look at all of them each time.
base::FairShares::Share WorkloadTable::make_room(std::string_view id, std::string_view maker) {
  const base::Owners owner{std::hash<std::string_view>{}(maker), std::hash<std::string_view>{}(id), 0};
  auto room = room_.take(owner);
  const std::int64_t now = wall_ns_();
  if (room || (now >= looked_ns_ && now - looked_ns_ < kLookEveryNs)) return room;
  looked_ns_ = now;
  std::erase_if(known_, [](const auto& entry) { return entry.second.workload.use_count() == 1; });
  return room_.take(owner);
}

void WorkloadTable::turn_away(std::string name) {
  ++stats_.over_bound;
  if (turned_away_.size() >= kMaxTurnedAway && !turned_away_.contains(name)) name.clear();
  ++turned_away_[std::move(name)];
}

void WorkloadTable::learn(WorkloadFacts facts) {
  auto it = learnt_.find(facts.id);
  if (it == learnt_.end() && learnt_.size() >= max_) {
    std::erase_if(learnt_, [&](const auto& entry) {
      const auto next = known_.lower_bound(entry.first);
      return next == known_.end() || !next->first.starts_with(entry.first);
    });
    if (learnt_.size() >= max_) return turn_away(name_of(facts.id));
  }
  if (it == learnt_.end()) it = learnt_.try_emplace(facts.id).first;
  const std::size_t looks_like_keys = std::erase_if(facts.facts, [](const Fact& one) {
    return !is_number(one.name) && catalog::looks_like_secret(catalog::Catalog::builtin(), one.value);
  });
  stats_.facts_like_keys += looks_like_keys;
  if (facts.whole && facts.whole->since_ns == 0) facts.whole->since_ns = wall_ns_();
  const std::vector<Fact> gone = withdraw(it->second.facts, facts);
  // Told once also where nothing is new here: the history may know more.
  const bool first_whole = facts.whole && facts.whole->unsaid.empty() && !std::exchange(it->second.whole, true);
  std::vector<Fact> fresh;
  for (Fact& one : facts.facts) {
    if (one.since_ns == 0) one.since_ns = wall_ns_();
    switch (base::join_fact(it->second.facts, one)) {
      case base::Joined::kKnown:
        break;
      case base::Joined::kNew:
        fresh.push_back(std::move(one));
        break;
      case base::Joined::kRefused:
        ++stats_.facts_refused;
        break;
    }
  }
  if (fresh.empty() && gone.empty() && !first_whole) return;
  for (auto at = known_.lower_bound(facts.id); at != known_.end() && at->first.starts_with(facts.id); ++at) {
    if (at->first == facts.id || base::parent_id(at->first) == facts.id) rebuild(at, fresh, gone);
  }
  tell(facts.id, fresh, facts.whole);
}

std::vector<Fact> WorkloadTable::withdraw(std::vector<Fact>& from, const WorkloadFacts& facts) {
  std::vector<Fact> out;
  if (!facts.whole) return out;
  std::erase_if(from, [&](const Fact& one) {
    const bool stays =
        !facts.whole->speaks_of(one.name, one.known_by) || std::ranges::any_of(facts.facts, [&](const Fact& now) {
          return now.name == one.name && now.known_by == one.known_by;
        });
    if (!stays) out.push_back(one);
    return !stays;
  });
  return out;
}

/// News that are the whole have all that is known so, also what is not new: the history may know more than this table.
void WorkloadTable::tell(const std::string& id, const std::vector<Fact>& fresh,
                         const std::optional<WorkloadFacts::Whole>& whole) {
  WorkloadFacts& news = news_.try_emplace(id, WorkloadFacts{.id = id, .facts = {}}).first->second;
  if (whole) {
    const std::optional<WorkloadFacts::Whole> before = std::exchange(news.whole, whole);
    if (before && before->known_by == whole->known_by) {  // both count
      if (before->unsaid.empty()) news.whole->unsaid.clear();
      if (whole->nor_claimed.empty()) news.whole->nor_claimed = before->nor_claimed;
    }
    const auto spoken_of = [&](const Fact& one) { return news.whole->speaks_of(one.name, one.known_by); };
    std::erase_if(news.facts, spoken_of);
    for (const Fact& one : learnt_.find(id)->second.facts) {
      if (spoken_of(one)) (void)base::join_fact(news.facts, one);
    }
  }
  for (const Fact& one : fresh)
    (void)base::join_fact(news.facts, one);
}

void WorkloadTable::rebuild(Known::iterator at, const std::vector<Fact>& facts, const std::vector<Fact>& gone) {
  const Workload& was = *at->second.workload;
  std::vector<Fact> all(was.facts.begin(), was.facts.end());
  std::erase_if(all, [&](const Fact& one) {
    return std::ranges::any_of(gone,
                               [&](const Fact& old) { return old.name == one.name && old.known_by == one.known_by; });
  });
  for (const Fact& one : facts)
    (void)base::join_fact(all, one);
  at->second.workload = std::make_shared<const Workload>(build(at->first, was.kind, std::move(all)));
}

std::vector<WorkloadFacts> WorkloadTable::take_news() {
  std::vector<WorkloadFacts> out;
  out.reserve(news_.size());
  for (auto& [id, facts] : news_)
    out.push_back(std::move(facts));
  news_.clear();
  return out;
}

}  // namespace keytrail::identify
