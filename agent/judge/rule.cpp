// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/rule.h"

#include <utility>

namespace keytrail::judge {
Rule::Rule(const base::FindingType& is, Severity severity, Setup setup)
    : is_(is),
      severity_(from_word<Severity>(setup.config.severity).value_or(severity)),
      setup_(std::move(setup)),
      open_(setup_.limit) {}

void Rule::load(const Earlier& earlier) {
  for (const FindingChange& one : earlier.findings) {
    if (one.type == is_.type) *open_.get(one.subject).first = one.state != FindingState::kResolved;
  }
}

Told Rule::take() { return std::exchange(told_, {}); }

std::uint32_t Rule::number(std::string_view name) const {
  if (const auto set = setup_.config.numbers.find(std::string(name)); set != setup_.config.numbers.end())
    return set->second;
  for (const base::FindingSetting& one : is_.settings) {
    if (one.name == name) return one.preset;
  }
  return 0;
}

bool Rule::open(std::int64_t time_ns, FindingRow finding) {
  bool& is_open = *open_.get(finding.subject).first;
  if (std::exchange(is_open, true)) return false;
  finding.type = is_.type;
  finding.severity = severity_;
  Row row;
  row.time_ns = time_ns;
  row.body = std::move(finding);
  told_.rows.push_back(std::move(row));
  return true;
}

void Rule::resolve(const std::string& subject, std::int64_t time_ns) {
  bool* is_open = open_.find(subject);
  if (is_open == nullptr || !std::exchange(*is_open, false)) return;
  told_.changes.push_back({std::string(is_.type), subject, FindingState::kResolved, time_ns});
}

void Rule::resolve_all(std::string_view prefix, std::int64_t time_ns) {
  for (auto& [subject, is_open] : open_.items()) {
    if (!subject.starts_with(prefix) || !std::exchange(is_open, false)) continue;
    told_.changes.push_back({std::string(is_.type), subject, FindingState::kResolved, time_ns});
  }
}

std::string_view used_words(Evidence evidence) {
  switch (evidence) {
    case Evidence::kConfirmed:
      return " used ";
    case Evidence::kInferred:
      return " used (inferred) ";
    default:
      return " may have used ";
  }
}

std::string place_words(std::string_view place, std::string_view selector) {
  std::string out(place);
  if (!selector.empty()) out.append(" [").append(selector).append("]");
  return out;
}

// NUL stands in no path or id, so different parts never make one text.
std::string joined(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts)
    out.append(part) += '\0';
  return out;
}

}  // namespace keytrail::judge
