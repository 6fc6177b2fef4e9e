// SPDX-License-Identifier: Apache-2.0
// The two forms in which a hook report travels, there and back: the fixed message between warden and worker, and the
// text that `keytrail-warden --plan` prints: a line per family (word, chosen, cost, missing), then one per better way
// that is refused, columns by tabs.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "keytrail/hooks.h"
#include "keytrail/role_abi.h"

namespace keytrail {

[[nodiscard]] inline role::Hook to_wire(const HookReport& report) {
  auto out = role::make<role::Hook>(role::Type::kHook);
  out.family = static_cast<std::uint32_t>(report.family);
  out.sees_less = report.sees_less ? 1 : 0;
  out.chosen.assign(report.chosen);
  out.cost.assign(report.cost);
  out.missing.assign(report.missing);
  out.refused_count = static_cast<std::uint32_t>(std::min(report.refused.size(), role::kMaxRefused));
  for (std::size_t i = 0; i < out.refused_count; ++i) {
    out.refused[i].name.assign(report.refused[i].name);
    out.refused[i].why.assign(report.refused[i].why);
  }
  return out;
}

/// `hook` was decoded: its family and its lengths are good.
[[nodiscard]] inline HookReport from_wire(const role::Hook& hook) {
  HookReport out;
  out.family = static_cast<Family>(hook.family);
  out.chosen = hook.chosen.view();
  out.cost = hook.cost.view();
  out.missing = hook.missing.view();
  out.sees_less = hook.sees_less != 0;
  for (std::size_t i = 0; i < hook.refused_count; ++i)
    out.refused.push_back({std::string(hook.refused[i].name.view()), std::string(hook.refused[i].why.view())});
  return out;
}

[[nodiscard]] inline role::Target to_wire(const TargetReport& report, std::uint64_t request = 0) {
  auto out = role::make<role::Target>(role::Type::kTarget, request);
  out.hits = report.hits;
  out.target = report.id;
  out.state = static_cast<std::uint16_t>(report.state);
  out.family = static_cast<std::uint16_t>(report.family);
  out.text.assign(report.text);
  return out;
}

/// `target` was decoded.
[[nodiscard]] inline TargetReport from_wire(const role::Target& target) {
  return {.state = static_cast<TargetReport::State>(target.state),
          .id = target.target,
          .family = static_cast<Family>(target.family),
          .hits = target.hits,
          .text = std::string(target.text.view())};
}

[[nodiscard]] inline role::TargetCounts to_wire(const TargetCounts& counts) {
  auto out = role::make<role::TargetCounts>(role::Type::kTargetCounts);
  out.attached = counts.attached;
  out.bound = counts.bound;
  out.over_bound = counts.over_bound;
  out.refused = counts.refused;
  out.dropped = counts.dropped;
  return out;
}

[[nodiscard]] inline TargetCounts from_wire(const role::TargetCounts& counts) {
  return {.attached = counts.attached,
          .bound = counts.bound,
          .over_bound = counts.over_bound,
          .refused = counts.refused,
          .dropped = counts.dropped};
}

[[nodiscard]] inline std::string to_text(const HookReport& report) {
  std::string out = to_string(report.family);
  for (const std::string* column : {&report.chosen, &report.cost, &report.missing})
    out.append("\t").append(*column);
  out += '\n';
  for (const HookReport::Refused& refused : report.refused)
    out.append("\t").append(refused.name).append("\t").append(refused.why).append("\n");
  return out;
}

/// Lines of another form are passed over.
[[nodiscard]] inline std::vector<HookReport> reports_from_text(std::string_view text) {
  std::vector<HookReport> out;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    std::array<std::string, 4> columns;
    std::size_t count = 0;
    for (bool more = true; more; ++count) {
      const std::size_t tab = line.find('\t');
      if (count < columns.size()) columns[count] = line.substr(0, tab);
      more = tab != std::string_view::npos;
      line.remove_prefix(more ? tab + 1 : line.size());
    }
    if (count == 3 && columns[0].empty() && !out.empty()) {
      out.back().refused.push_back({std::move(columns[1]), std::move(columns[2])});
      continue;
    }
    const auto* family = std::ranges::find(kFamilyTable, std::string_view(columns[0]), &FamilyEntry::word);
    if (count != 4 || family == kFamilyTable.end()) continue;
    HookReport& report = out.emplace_back();
    report.family = family->family;
    report.chosen = std::move(columns[1]);
    report.cost = std::move(columns[2]);
    report.missing = std::move(columns[3]);
  }
  return out;
}

}  // namespace keytrail
