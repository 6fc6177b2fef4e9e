// SPDX-License-Identifier: Apache-2.0
#include "agent/catalog/script.h"

#include <algorithm>
#include <utility>

namespace keytrail::catalog {
namespace {

constexpr std::size_t kLongest = 256;        ///< KT_ITEM_VALUE_MAX
constexpr std::size_t kLongestLetters = 15;  ///< with the '-'
constexpr std::string_view kVersion = "0123456789.";

}  // namespace

const Interpreter* interpreter_named(std::string_view program) {
  program = program.substr(program.rfind('/') + 1);
  const std::string_view name = program.substr(0, program.find_first_of(kVersion));
  if (program.substr(name.size()).find_first_not_of(kVersion) != program.npos) return nullptr;
  const auto all = kernel_tables().interpreters;
  const auto found = std::ranges::find_if(
      all, [&](const Interpreter& one) { return std::ranges::find(one.names, name) != one.names.end(); });
  return found == all.end() ? nullptr : &*found;
}

ScriptFinder::Next ScriptFinder::letters(std::string_view word) {
  const char first = word.size() > 1 ? word[1] : '\0';
  if (is_.joined.contains(first)) return Next::kMore;
  if (is_.valued.contains(first)) {
    if (word.size() == 2) before_ = ScriptWord::kValued;
    return Next::kMore;
  }
  if (word.size() < 2 || word.size() > kLongestLetters) return Next::kNone;
  for (std::size_t i = 1; i < word.size(); ++i) {
    if (is_.letters.contains(word[i])) continue;
    if (!is_.next.contains(word[i]) || i + 1 != word.size()) return Next::kNone;
    before_ = ScriptWord::kValued;
    return Next::kMore;
  }
  return Next::kMore;
}

ScriptFinder::Next ScriptFinder::word(std::string_view word) {
  const ScriptWord before = std::exchange(before_, ScriptWord::kNone);
  if (before == ScriptWord::kValued) return Next::kMore;
  if (before != ScriptWord::kRuns && before != ScriptWord::kLast) {
    const std::size_t equals = word.find('=');
    option_ = word.substr(0, equals);
    const auto rule = std::ranges::find(is_.words, option_, &ScriptRule::word);
    const ScriptWord does = rule == is_.words.end() ? ScriptWord::kNone : rule->does;
    if (does == ScriptWord::kNoScript) return Next::kNone;
    if (equals == word.npos && does != ScriptWord::kNone) {
      if (does != ScriptWord::kFlag) before_ = does;
      return Next::kMore;
    }
    if (word.starts_with('+') || word.starts_with('@')) return Next::kNone;
    if (word.starts_with('-')) {
      const bool option = equals != word.npos && word.starts_with("--") &&
                          (is_.equals || does == ScriptWord::kFlag || does == ScriptWord::kValued);
      return option ? Next::kMore : letters(word);
    }
  }
  // An address or an assignment carries keys.
  const bool may_carry = word.find_first_of("?=") != word.npos || word.contains(":/");
  if (word.empty() || word.size() > kLongest || may_carry || format_of_text(kernel_tables().formats, word) != nullptr)
    return Next::kNone;
  const bool module = before == ScriptWord::kRuns && (option_ == "-m" || option_ == "--module");
  script_.assign(module ? "-m " : "").append(word);
  return Next::kFound;
}

}  // namespace keytrail::catalog
