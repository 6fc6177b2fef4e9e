// SPDX-License-Identifier: Apache-2.0
#include "agent/catalog/account.h"

#include <algorithm>
#include <cstdint>

namespace keytrail::catalog {

std::string account_of(std::string_view key_id) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  constexpr std::size_t kPrefix = 4;   // "AKIA"
  constexpr std::size_t kLength = 20;  // of the whole id
  constexpr std::size_t kChars = 10;   // 50 bits; the account ends at the 41st
  if (key_id.size() != kLength || !(key_id.starts_with("AKIA") || key_id.starts_with("ASIA"))) return {};
  std::uint64_t bits = 0;
  for (const char c : key_id.substr(kPrefix, kChars)) {
    const std::size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return {};
    bits = bits << 5U | digit;
  }
  if (bits >> 49U == 0) return {};
  const std::uint64_t number = (bits & ((std::uint64_t{1} << 49U) - 1)) >> 9U;
  std::string text = std::to_string(number);
  if (text.size() > 12) return {};
  return std::string(12 - text.size(), '0') + text;
}

}  // namespace keytrail::catalog
