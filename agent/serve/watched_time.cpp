// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/watched_time.h"

#include <algorithm>
#include <array>
#include <bit>
#include <tuple>

namespace keytrail::serve {

std::vector<Period> watched_by_all(std::span<const WatchedSpan> spans, std::uint32_t families) {
  struct Edge {
    std::int64_t at_ns;
    int step;  // +1 where a family's span begins, -1 where it ends
    std::size_t family;
  };
  std::vector<Edge> edges;
  for (const WatchedSpan& span : spans) {
    const auto family = static_cast<std::size_t>(span.family);
    if (family >= kFamilies || (families >> family & 1U) == 0 || span.from_ns >= span.to_ns) continue;
    edges.push_back({span.from_ns, 1, family});
    edges.push_back({span.to_ns, -1, family});
  }
  // Of one moment beginnings come first: spans that touch are one.
  std::ranges::sort(
      edges, [](const Edge& a, const Edge& b) { return std::tuple(a.at_ns, -a.step) < std::tuple(b.at_ns, -b.step); });
  std::vector<Period> out;
  std::array<int, kFamilies> open{};
  const int wanted = std::popcount(families & ((1U << kFamilies) - 1U));
  int watched = 0;
  for (const Edge& edge : edges) {
    const int before = watched;
    int& depth = open[edge.family];
    if (depth == 0) ++watched;
    depth += edge.step;
    if (depth == 0) --watched;
    if (wanted == 0 || watched == before) continue;
    if (watched == wanted) out.push_back({edge.at_ns, edge.at_ns});
    if (before == wanted) out.back().to_ns = edge.at_ns;
  }
  return out;
}

std::vector<Period> unwatched(Period asked, std::span<const Period> watched) {
  std::vector<Period> out;
  std::int64_t at = asked.from_ns;
  for (const Period& period : watched) {
    if (period.to_ns <= at) continue;
    if (period.from_ns >= asked.to_ns) break;
    if (period.from_ns > at) out.push_back({at, period.from_ns});
    at = period.to_ns;
  }
  if (at < asked.to_ns) out.push_back({at, asked.to_ns});
  return out;
}

}  // namespace keytrail::serve
