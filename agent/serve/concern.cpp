// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/concern.h"

#include <algorithm>
#include <utility>

namespace keytrail::serve {
namespace {

constexpr std::size_t kMostKeys = 1'000;
constexpr std::size_t kMostWorkloads = 10'000;

/// False when there are more, or they could not be read.
bool add_names(HistoryReader& history, const std::string& workload, std::set<std::string, std::less<>>& names) {
  HistoryFilter filter;
  filter.workload = workload;
  filter.limit = kMostWorkloads;
  const auto found = history.workloads(filter);
  if (!found) return false;
  for (const WorkloadSummary& one : *found)
    names.insert(one.workload.name);
  return found->size() <= kMostWorkloads;
}

}  // namespace

Concern::Concern(HistoryReader& history, const catalog::Catalog& catalog, const HistoryFilter& filter)
    : history_(history), filter_(filter) {
  find_kinds(catalog);
}

void Concern::find_kinds(const catalog::Catalog& catalog) {
  if (filter_.key.empty()) {
    if (!filter_.kind.empty()) kinds_.insert(filter_.kind);
    return;
  }
  HistoryFilter asked;
  asked.key = filter_.key;
  asked.chain = filter_.chain;
  asked.limit = kMostKeys;
  const auto keys = history_.keys(asked);
  if (!keys || keys->empty() || keys->size() >= kMostKeys) return;
  for (const KeySummary& one : *keys) {
    if (one.key.kind.empty()) return kinds_.clear();
    kinds_.insert(one.key.kind);
    if (!filter_.chain) continue;
    // What was made from it may lie in a file, too.
    for (const std::string_view issued : catalog.issued_with(one.key.kind))
      kinds_.emplace(issued);
  }
}

bool Concern::is_of_others(const std::string& scope) {
  const std::string_view asked = filter_.workload;
  if (asked.empty() || scope.empty()) return false;
  if (asked.ends_with('*') ? scope.starts_with(asked.substr(0, asked.size() - 1)) : scope == asked) return false;
  // Of names that nobody knows any gap may be of those that are asked for.
  if (!own_found_) own_found_ = add_names(history_, filter_.workload, own_);
  if (!*own_found_ || own_.contains(scope)) return false;
  // A gap has the name of its time: one that nobody has today may be an older one of those that are asked for.
  if (!std::exchange(all_looked_for_, true)) (void)add_names(history_, {}, known_);
  return known_.contains(scope);
}

bool Concern::with(const GapRow& gap) {
  const bool kind = kinds_.empty() || gap.kinds.empty() ||
                    std::ranges::any_of(gap.kinds, [&](const std::string& one) { return kinds_.contains(one); });
  return kind && !is_of_others(gap.scope);
}

}  // namespace keytrail::serve
