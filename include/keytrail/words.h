// SPDX-License-Identifier: Apache-2.0
// Enumerators that are stored or sent: each enumeration has one list of (number, word, sentence), beside its
// declaration. Words in records, answers and questions, JSON, OpenAPI's lists and the parsing of questions all come
// from it. Numbers stand in histories for ever: one that is given is never changed and never used again
// (tests/unit/record/words_test.cpp pins them).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace keytrail {

/// One enumerator.
template <typename E>
struct Word {
  E value;
  const char* word;           ///< what records carry
  const char* sentence = "";  ///< what people read, or ""
};

/// The list of an enumeration, in the order in which people should read it. Specialised beside each declaration, made
/// by `words`.
template <typename E>
inline constexpr std::nullptr_t kWords = nullptr;

template <typename E>
concept Worded = std::is_enum_v<E> && !std::is_same_v<decltype(kWords<E>), const std::nullptr_t>;

/// What a number stands for that this program does not know: its word is "unknown".
template <typename E>
inline constexpr E kUnknownValue = static_cast<E>(UINT8_MAX);

/// Not defined: a list that calls it does not compile.
void this_list_says_something_twice();

/// Makes a list; one that has a number or a word twice does not compile.
template <typename E, std::size_t N>
consteval std::array<Word<E>, N> words(const Word<E> (&list)[N]) {
  static_assert(std::is_same_v<std::underlying_type_t<E>, std::uint8_t>,
                "any stored number must be a value of the type");
  for (std::size_t i = 0; i < N; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (list[i].value == list[j].value || std::string_view(list[i].word) == list[j].word)
        this_list_says_something_twice();
    }
    if (list[i].value == kUnknownValue<E>) this_list_says_something_twice();
  }
  return std::to_array(list);
}

template <Worded E>
[[nodiscard]] constexpr const Word<E>* find_word(E value) {
  for (const Word<E>& one : kWords<E>) {
    if (one.value == value) return &one;
  }
  return nullptr;
}

/// The word that records carry.
template <Worded E>
[[nodiscard]] constexpr const char* to_string(E value) {
  const Word<E>* one = find_word(value);
  return one != nullptr ? one->word : "unknown";
}

/// What people read of it.
template <Worded E>
[[nodiscard]] constexpr const char* explain(E value) {
  const Word<E>* one = find_word(value);
  return one != nullptr ? one->sentence : "not known to this version";
}

template <Worded E>
[[nodiscard]] constexpr std::optional<E> from_word(std::string_view word) {
  for (const Word<E>& one : kWords<E>) {
    if (word == one.word) return one.value;
  }
  return std::nullopt;
}

/// A stored number, whatever wrote it: one that is not in the list is `kUnknownValue`.
template <Worded E>
[[nodiscard]] constexpr E from_number(std::int64_t number) {
  if (number < 0 || number > UINT8_MAX || find_word(static_cast<E>(number)) == nullptr) return kUnknownValue<E>;
  return static_cast<E>(number);
}

/// All words, in the list's order.
template <Worded E>
[[nodiscard]] constexpr auto all_words() {
  std::array<std::string_view, kWords<E>.size()> out;
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = kWords<E>[i].word;
  return out;
}

/// "confirmed, inferred or possible": for sentences about what may be asked.
template <Worded E>
[[nodiscard]] std::string words_text() {
  std::string out;
  constexpr auto kAll = all_words<E>();
  for (std::size_t i = 0; i < kAll.size(); ++i) {
    if (i != 0) out += i + 1 == kAll.size() ? " or " : ", ";
    out += kAll[i];
  }
  return out;
}

}  // namespace keytrail
