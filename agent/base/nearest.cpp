// SPDX-License-Identifier: Apache-2.0
#include "agent/base/nearest.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace keytrail::base {
namespace {

constexpr std::size_t kMostLetters = 64;
constexpr std::size_t kFew = 3;

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

bool is_near(std::size_t distance, std::string_view known) {
  return distance <= std::max<std::size_t>(2, known.size() / 2);
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
  std::string_view best;
  std::size_t least = SIZE_MAX;
  word = word.substr(0, kMostLetters);
  for (const std::string_view one : known) {
    const std::size_t distance = edit_distance(word, one);
    if (distance >= least) continue;
    least = distance;
    best = one;
  }
  return is_near(least, best) ? best : std::string_view();
}

std::string nearest_few(std::string_view word, std::span<const std::string_view> known) {
  word = word.substr(0, kMostLetters);
  std::vector<std::pair<std::size_t, std::string_view>> near;
  for (const std::string_view one : known) {
    // A word that holds what was typed, or the other way round, is near whatever it has besides.
    const bool part = word.size() > 1 && one.size() > 1 && (one.contains(word) || word.contains(one));
    const std::size_t distance = edit_distance(word, one);
    if (part || is_near(distance, one)) near.emplace_back(part ? 1 : distance, one);
  }
  std::ranges::sort(near);
  near.erase(std::ranges::unique(near).begin(), near.end());
  near.resize(std::min(near.size(), kFew));
  std::string out;
  for (std::size_t i = 0; i < near.size(); ++i) {
    if (i != 0) out += i + 1 == near.size() ? " or " : ", ";
    out += near[i].second;
  }
  return out;
}

}  // namespace keytrail::base
