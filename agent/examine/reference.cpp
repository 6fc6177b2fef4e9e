// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/reference.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "agent/examine/facts.h"
#include "agent/examine/text.h"

namespace keytrail::examine {
namespace {

constexpr std::size_t kMaxVariable = 62;
constexpr std::size_t kMaxPath = 510;       ///< of the message
constexpr std::size_t kMaxReference = 512;  ///< "${NAME:-other}"; each is looked at by itself: time is linear

bool is_variable(std::string_view name) {
  return !name.empty() && name.size() <= kMaxVariable && std::isdigit(static_cast<unsigned char>(name.front())) == 0 &&
         std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

bool is_upper_name(std::string_view name) {
  return is_variable(name) && std::ranges::none_of(name, [](unsigned char c) { return std::islower(c) != 0; });
}

/// "%TOKEN%" → "TOKEN"
std::string_view between_percents(std::string_view value) {
  if (value.size() < 3 || value.front() != '%' || value.back() != '%') return {};
  return value.substr(1, value.size() - 2);
}

/// Letters of both cases and digits, and nothing that people put between words.
bool is_random(std::string_view part) {
  constexpr std::size_t kRandom = 16;
  const auto has = [&](int (*test)(int)) {
    return std::ranges::any_of(part, [&](unsigned char c) { return test(c) != 0; });
  };
  return part.size() >= kRandom && part.find_first_of("._- ") == std::string_view::npos && has(std::isupper) &&
         has(std::islower) && has(std::isdigit);
}

}  // namespace

std::string_view variable_of(std::string_view value) {
  value = trimmed(value);
  if (const std::string_view name = between_percents(value); is_upper_name(name)) return name;
  if (value.starts_with("env:")) {
    value.remove_prefix(4);
    return is_variable(value) ? value : std::string_view();
  }
  if (!value.starts_with("${") || value.find('}') != value.size() - 1) return {};
  value = value.substr(2, value.size() - 3);
  for (const std::string_view scope : {"env.", "env:"}) {
    if (value.starts_with(scope)) value.remove_prefix(scope.size());
  }
  value = value.substr(0, value.find_first_of("?:-"));
  return is_variable(value) ? value : std::string_view();
}

bool is_variable_reference(std::string_view value) {
  return (value.size() > 1 && value.front() == '$' && is_upper_name(value.substr(1))) ||
         is_upper_name(between_percents(value));
}

std::string_view next_variable(std::string_view& text) {
  while (true) {
    const std::size_t begin = text.find("${");
    if (begin == std::string_view::npos) return {};
    text.remove_prefix(begin);
    const std::string_view reference = text.substr(0, kMaxReference);
    const std::string_view name = variable_of(reference.substr(0, reference.find('}') + 1));
    text.remove_prefix(2);
    if (!name.empty()) return name;
  }
}

bool is_template_mark(std::string_view value) {
  static constexpr std::pair<std::string_view, std::string_view> kMarks[] = {
      {"#{", "}"}, {"__", "__"}, {"%%", "%%"}, {"@@", "@@"}, {"[[", "]]"}, {"((", "))"}, {"{{", "}}"}, {"$[", "]"}};
  return std::ranges::any_of(kMarks, [&](const auto& mark) {
    const auto& [begin, end] = mark;
    if (!value.starts_with(begin) || !value.ends_with(end) || value.size() <= begin.size() + end.size()) return false;
    const std::string_view name = value.substr(begin.size(), value.size() - begin.size() - end.size());
    return !is_random(name) && std::ranges::all_of(name, [](unsigned char c) {
      return std::isalnum(c) != 0 || std::string_view("_-./: \"'[]").contains(static_cast<char>(c));
    });
  });
}

bool is_stand_in(std::string_view value) {
  static constexpr std::array<std::string_view, 14> kSure{"your",      "yours", "example", "placeholder", "changeme",
                                                          "redacted",  "dummy", "fake",    "insert",      "replace",
                                                          "replaceme", "todo",  "xxx",     "xxxx"};
  static constexpr std::array<std::string_view, 22> kWords{
      "my",  "the",  "a",    "an",   "some",  "not",    "real", "secret", "token", "key",   "api",
      "app", "test", "here", "this", "enter", "access", "auth", "is",     "be",    "valid", "password"};
  bool sure = false, all = true;
  for (std::string_view rest = value; !rest.empty();) {
    const auto end = std::ranges::find_if_not(rest, [](unsigned char c) { return std::isalnum(c) != 0; });
    const std::string_view word(rest.begin(), end);
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    if (is_random(word)) return false;
    const auto is = [&](std::string_view one) { return same_word(one, word); };
    const bool marks = std::ranges::any_of(kSure, is);
    sure = sure || marks;
    all = all && (word.empty() || marks || std::ranges::any_of(kWords, is));
  }
  return sure || all;
}

bool is_ciphertext(std::string_view value) {
  return value.size() > 8 && value.front() == '{' && value.back() == '}' &&
         std::ranges::all_of(value.substr(1, value.size() - 2),
                             [](unsigned char c) { return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '='; });
}

bool is_file_name(std::string_view text) {
  if (!is_name(text, kMaxPath) || text.find("://") != std::string_view::npos) return false;
  while (!text.empty()) {
    if (is_random(cut(text, '/'))) return false;
  }
  return true;
}

}  // namespace keytrail::examine
