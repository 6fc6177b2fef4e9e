// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/judge.h"

#include <algorithm>
#include <utility>

namespace keytrail::judge {

Judge::Judge(const Clock& clock, std::size_t max_remembered) : clock_(clock), limit_(std::max<std::size_t>(max_remembered, 1)) {}

void Judge::load(const Earlier& earlier) {
  for (const SlotChange& change : earlier.replaced)
    learn(change);
  for (const FindingChange& finding : earlier.findings)
    (void)first_time({finding.type, finding.subject});
}

void Judge::forget(std::multimap<std::string, SlotChange>::iterator replaced) {
  std::erase(replaced_order_, replaced);
  facts_.replaced.erase(replaced);
}

void Judge::learn(const SlotChange& change) {
  if (change.new_id.empty()) return;  // not followed any more: what it held before stays replaced
  // A slot that went back to a key: that one is no longer replaced there.
  for (const std::string* id : {&change.new_id, &change.old_id}) {
    const auto [begin, end] = facts_.replaced.equal_range(*id);
    const auto known = std::find_if(begin, end, [&](const auto& entry) { return entry.second.same_slot(change); });
    if (known != end) forget(known);
  }
  if (change.old_id.empty()) return;
  if (facts_.replaced.size() >= limit_) forget(replaced_order_.front());
  replaced_order_.push_back(facts_.replaced.emplace(change.old_id, change));
}

bool Judge::first_time(const FindingName& name) {
  if (!told_.insert(name).second) return false;
  told_order_.push_back(name);
  if (told_order_.size() > limit_) {
    told_.erase(told_order_.front());
    told_order_.pop_front();
  }
  return true;
}

std::vector<Row> Judge::on_batch(std::span<const Row> rows, std::span<const UseRow> uses, std::span<const UseTouch> touches,
                                 std::span<const SlotChange> slot_changes) {
  for (const SlotChange& change : slot_changes)
    learn(change);
  std::vector<const UseRow*> all;
  for (const UseRow& use : uses)
    all.push_back(&use);
  for (const UseTouch& touch : touches) {
    if (touch.use.bytes_sent > 0) all.push_back(&touch.use);
  }
  for (const UseRow* use : all) {
    if (use->keys.empty() || use->evidence == Evidence::kUnattributed) continue;
    const std::string& id = use->keys.front().key.id;
    if (!facts_.last_uses.contains(id) && facts_.last_uses.size() >= limit_) facts_.last_uses.erase(facts_.last_uses.begin());
    facts_.last_uses[id] = *use;
  }
  std::vector<Found> found;
  const Batch batch{rows, all, facts_, slot_changes};
  for (const Rule& rule : rules())
    rule.look(batch, found);

  std::vector<Row> out;
  for (Found& one : found) {
    if (!first_time({one.finding.type, one.finding.subject})) continue;
    Row row;
    row.time_ns = one.time_ns;
    row.observed_ns = clock_.wall_ns();
    row.body = std::move(one.finding);
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace keytrail::judge
