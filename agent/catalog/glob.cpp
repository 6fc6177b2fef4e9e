// SPDX-License-Identifier: Apache-2.0
#include "agent/catalog/glob.h"

namespace keytrail::catalog {

bool glob(std::string_view pattern, std::string_view text) {
  // Nearly all that do not match differ at the end.
  const bool literal_end = !pattern.empty() && pattern.back() != '*' && pattern.back() != '?';
  if (literal_end && (text.empty() || pattern.back() != text.back())) return false;
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*')
    ++p;
  return p == pattern.size();
}

}  // namespace keytrail::catalog
