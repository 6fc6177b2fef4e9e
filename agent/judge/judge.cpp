// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/judge.h"

#include <iterator>

namespace keytrail::judge {
namespace {

// The order matters: a use is compared with what its slot holds by the end of the batch, and a process that took the
// new key after its use is no longer one that keeps the old.
void tell(Rule& rule, const Batch& batch, std::int64_t now_ns) {
  for (const SlotChange& change : batch.slot_changes)
    rule.on_slot_change(change);
  for (const WorkloadFacts& facts : batch.workloads)
    rule.on_facts(facts);
  for (const Row& row : batch.rows)
    rule.on_row(row);
  for (const KeyReader& reader : batch.readers)
    rule.on_reader(reader);
  for (const Child& child : batch.children)
    rule.on_child(child);
  for (const UseRow& use : batch.uses)
    rule.on_use(use);
  for (const UseTouch& touch : batch.touches) {
    if (touch.use.bytes_sent > 0) rule.on_use(touch.use);  // an open connection that only listens uses nothing
  }
  for (const HoldingChange& change : batch.holdings)
    rule.on_holding(change);
  rule.on_tick(now_ns);
}

}  // namespace

Judge::Judge(const Clock& clock, const catalog::Catalog& catalog,
             const std::map<std::string, base::FindingConfig>& findings, std::size_t limit)
    : clock_(clock) {
  for (const RuleEntry* entry : rules()) {
    const auto configured = findings.find(std::string(entry->is.type));
    const base::FindingConfig config = configured == findings.end() ? base::FindingConfig{} : configured->second;
    if (config.enabled)
      rules_.push_back(entry->make(entry->is, {.catalog = catalog, .config = config, .limit = limit}));
  }
}

void Judge::load(const Earlier& earlier) {
  for (const auto& rule : rules_)
    rule->load(earlier);
}

void Judge::on_batch(Batch& batch) {
  const std::int64_t now_ns = clock_.wall_ns();
  std::vector<Row> found;
  for (const auto& rule : rules_) {
    tell(*rule, batch, now_ns);
    Told told = rule->take();  // into `found`, not the batch: no rule is told what another found
    std::ranges::move(told.rows, std::back_inserter(found));
    std::ranges::move(told.changes, std::back_inserter(batch.findings));
  }
  for (Row& row : found) {
    row.observed_ns = now_ns;
    batch.rows.push_back(std::move(row));
  }
}

}  // namespace keytrail::judge
