// SPDX-License-Identifier: Apache-2.0
// A path pattern of the catalog in the parts that tables and matching know. Pure; any thread.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "agent/catalog/source.h"

namespace keytrail::catalog::source {

std::optional<CutPattern> cut_pattern(const std::string& pattern) {
  CutPattern out;
  std::string_view rest = pattern;
  if (rest.starts_with("~/")) {
    out.home = true;
    rest.remove_prefix(2);
  } else if (rest.starts_with('/')) {
    rest.remove_prefix(1);
  } else if (!rest.starts_with("**/")) {
    return std::nullopt;
  }
  if (!out.home && rest.starts_with("var/run/")) rest.remove_prefix(4);
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    // Kubelet's atomic writer: TOKEN is a link to ..data/TOKEN, which is a link to ..2026_11_21_…/TOKEN.
    if (part.empty() || (part.size() > 2 && part.starts_with(".."))) continue;
    out.segments.emplace_back(part);
    const auto wild = std::ranges::count_if(part, [](char ch) { return ch == '*' || ch == '?'; });
    out.literals = static_cast<std::uint16_t>(out.literals + part.size() + 1 - static_cast<std::size_t>(wild));
  }
  if (out.segments.empty()) return std::nullopt;
  out.anywhere = out.home && out.segments.size() >= 2 && out.segments.front().starts_with('.') &&
                 !out.segments.front().contains('*');
  return out;
}

}  // namespace keytrail::catalog::source
