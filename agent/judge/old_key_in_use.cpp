// SPDX-License-Identifier: Apache-2.0
// A key is used after its slot got another one: the rotation is not finished, and revoking the old key would stop this process.
#include <algorithm>

#include "agent/judge/finding.h"

namespace keytrail::judge {
namespace {

void look_at(const UseRow& use, const Facts& facts, std::vector<Found>& out) {
  if (use.keys.empty() || use.evidence == Evidence::kUnattributed) return;
  const Candidate& used = use.keys.front();
  if (used.slot.from != From::kFile) return;
  const auto [begin, end] = facts.replaced.equal_range(used.key.id);
  // The same key may rightly live on in another slot.
  const auto it = std::find_if(begin, end, [&](const auto& entry) {
    const SlotChange& change = entry.second;
    return used.slot.place == change.place && used.slot.selector == change.selector &&
           use.actor.workload.value(fact::kContainerId) == change.container;
  });
  if (it == end || use.last_ns <= it->second.time_ns) return;
  const SlotChange& replacement = it->second;
  Found found;
  found.time_ns = use.last_ns;
  FindingRow& row = found.finding;
  row.type = "old_key_in_use";
  row.severity = Severity::kMedium;
  row.text = use.actor.program + " " + explain(use.evidence) + " key " + used.key.id + " after " + replacement.place +
             (replacement.selector.empty() ? std::string() : " [" + replacement.selector + "]") + " got key " + replacement.new_id;
  row.actor = use.actor;
  row.key = used.key;
  row.slot = used.slot;
  row.subject = used.key.id + "|" + use.actor.workload.id + "|" + use.actor.exe;
  out.push_back(std::move(found));
}

}  // namespace

void old_key_in_use(const Batch& batch, std::vector<Found>& out) {
  for (const UseRow* use : batch.uses)
    look_at(*use, batch.facts, out);
  // A file that nobody reads again is looked at every ten seconds: the use may have come before the news.
  for (const SlotChange& change : batch.slot_changes) {
    const auto last = batch.facts.last_uses.find(change.old_id);
    if (last != batch.facts.last_uses.end()) look_at(last->second, batch.facts, out);
  }
}

}  // namespace keytrail::judge
