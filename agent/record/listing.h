// SPDX-License-Identifier: Apache-2.0
// What the summaries of keys and of workloads do alike.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "agent/record/sqlite.h"

namespace keytrail::record {

inline constexpr std::size_t kMaxListed = 64;

template <typename T>
void add_once(std::vector<T>& list, const T& value) {
  if (list.size() < kMaxListed && std::ranges::find(list, value) == list.end()) list.push_back(value);
}

/// Calls `each` for every row of a question.
template <typename Each>
Result<void> for_each(Cursor cursor, Each each) {
  while (true) {
    auto more = cursor.next();
    if (!more) return std::unexpected(more.error());
    if (!*more) return {};
    if (auto r = each(cursor); !r) return r;
  }
}

}  // namespace keytrail::record
