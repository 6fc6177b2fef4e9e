// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/meant.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "agent/base/log.h"
#include "agent/base/nearest.h"
#include "agent/base/workload_pattern.h"

namespace keytrail::serve {
namespace {

constexpr std::size_t kMostKeys = 10'000;
constexpr std::size_t kMostWorkloads = 10'000;
constexpr std::size_t kMostShown = 5;

template <int (*Letter)(int)>
std::string in_letters(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(Letter(c)); });
  return out;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

bool is_alnum(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0; });
}
bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return std::isxdigit(c) != 0; });
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0) return false;
  }
  return true;
}

/// The public form that an id begins like: "AKIA".
const catalog::ArgFormat* public_form(std::string_view id) {
  for (const catalog::ArgFormat& form : catalog::kernel_tables().formats) {
    if (form.is_public && !form.prefix.empty() && id.starts_with(form.prefix)) return &form;
  }
  return nullptr;
}

enum class Where { kEdges, kKeys, kRows };

Result<bool> in_history(HistoryReader& history, const HistoryFilter& only, Where where) {
  if (where == Where::kEdges) {
    const auto page = history.edges(only);
    return page ? Result<bool>(!page->items.empty()) : std::unexpected(page.error());
  }
  if (where == Where::kKeys) {
    const auto keys = history.keys(only);
    return keys ? Result<bool>(!keys->empty()) : std::unexpected(keys.error());
  }
  const auto page = history.rows(only, RowKinds{false, false, true, false, false});
  return page ? Result<bool>(!page->items.empty()) : std::unexpected(page.error());
}

/// A parameter whose values are words that are known beforehand.
struct Word {
  const char* name;
  const char* noun;
  std::string HistoryFilter::* member;
  std::vector<std::string_view> known;
  Where where;

  /// Also when it was not asked for.
  [[nodiscard]] bool knows(const HistoryFilter& asked) const {
    return (asked.*member).empty() || std::ranges::find(known, asked.*member) != known.end();
  }
  [[nodiscard]] std::string none(const HistoryFilter& asked, const char* how) const {
    const std::string near = base::nearest_few(asked.*member, known);
    return fmt::format("{}: no such {} is {}{}", name, noun, how,
                       near.empty() ? "" : fmt::format("; did you mean {}?", near));
  }
};

std::vector<Word> words(const catalog::Catalog& catalog, std::span<const std::string_view> finding_types) {
  using catalog::Vocabulary;
  return {{"provider", "provider", &HistoryFilter::provider, catalog.words(Vocabulary::kProviders), Where::kEdges},
          {"service", "service", &HistoryFilter::service, catalog.words(Vocabulary::kServices), Where::kEdges},
          {"kind", "kind of key", &HistoryFilter::kind, catalog.words(Vocabulary::kKinds), Where::kKeys},
          {"finding_type",
           "type of finding",
           &HistoryFilter::finding_type,
           {finding_types.begin(), finding_types.end()},
           Where::kRows}};
}

/// Of one that was never seen.
Result<void> check_workload_meant(HistoryReader& history, const std::string& asked) {
  const auto pattern = base::WorkloadPattern::parse(asked);
  if (!pattern) return std::unexpected(pattern.error());
  if (pattern->is_open()) return {};  // what it means may be yet to come
  const auto all = history.workloads({.limit = kMostWorkloads});
  if (!all) return std::unexpected(all.error());
  std::vector<std::string> names;
  for (const WorkloadSummary& one : *all) {
    for (std::string& text : pattern->texts_of(one.workload))
      names.push_back(std::move(text));
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string near = base::nearest_few(folded_word(asked), views);
  if (near.empty()) return {};
  return fail(Error::Code::kInvalid,
              fmt::format("workload: none of that name was seen; did you mean {}?", base::printable(near)));
}

}  // namespace

std::string folded_word(std::string_view text) { return in_letters<std::tolower>(trimmed(text)); }

std::string folded_key(const catalog::Catalog& catalog, std::string_view given) {
  const std::string_view text = trimmed(given);
  std::string low = in_letters<std::tolower>(text);
  if (low.starts_with("fp:") && is_hex(std::string_view(low).substr(3))) return low;
  if (is_uuid(text) || (text.size() == 40 && is_hex(text))) return low;
  if (is_alnum(text)) {
    std::string high = in_letters<std::toupper>(text);
    if (const catalog::ArgFormat* form = public_form(high); form != nullptr && public_form(text) == nullptr) {
      const catalog::Catalog::Format* found = catalog.format(form->format_id);
      if (found != nullptr && found->public_id) return high;
    }
  }
  return std::string(text);
}

std::string wrong_shape(std::string_view id) {
  constexpr std::string_view kFingerprint = "fp:";
  if (id.starts_with(kFingerprint)) {
    const std::string_view digits = id.substr(kFingerprint.size());
    return digits.size() == 32 && is_hex(digits)
               ? ""
               : fmt::format("a fingerprint is fp: and 32 hexadecimal digits, and this has {}", digits.size());
  }
  const catalog::ArgFormat* form = public_form(id);
  if (form == nullptr || (id.size() >= form->min_len && id.size() <= form->max_len)) return "";
  return fmt::format("an ID that begins with {} has {}{} characters, and this has {}", form->prefix, form->min_len,
                     form->min_len == form->max_len ? "" : fmt::format(" to {}", form->max_len), id.size());
}

Result<void> check_key_meant(HistoryReader& history, const std::string& key) {
  HistoryFilter filter;
  filter.key = key;
  filter.limit = 1;
  auto known = history.keys(filter);
  if (!known) return std::unexpected(known.error());
  if (!known->empty()) return {};
  filter.key.clear();
  filter.limit = kMostKeys;
  const auto all = history.keys(filter);
  if (!all) return std::unexpected(all.error());
  std::string like;
  std::size_t count = 0;
  for (const KeySummary& one : *all) {
    for (const std::string& id : {one.key.id, one.key.fingerprint.text()}) {
      if (key.size() < 3 || id.size() <= key.size() ||
          !in_letters<std::tolower>(id).starts_with(in_letters<std::tolower>(key)))
        continue;
      if (++count <= kMostShown) like += (like.empty() ? "" : ", ") + base::printable(id);
      break;
    }
  }
  if (count > kMostShown) like += fmt::format(" and {} more", count - kMostShown);
  if (count != 0) return fail(Error::Code::kInvalid, "that is the beginning of a key ID; did you mean " + like + "?");
  if (const std::string wrong = wrong_shape(key); !wrong.empty()) return fail(Error::Code::kInvalid, wrong);
  return {};
}

std::string unknown_word(const catalog::Catalog& catalog, std::span<const std::string_view> finding_types,
                         const HistoryFilter& asked) {
  for (const Word& word : words(catalog, finding_types)) {
    if (!word.knows(asked)) return word.none(asked, "known");
  }
  return {};
}

Result<void> check_meant(HistoryReader& history, const catalog::Catalog& catalog,
                         std::span<const std::string_view> finding_types, const HistoryFilter& asked,
                         bool workload_known) {
  for (const Word& word : words(catalog, finding_types)) {
    if (word.knows(asked)) continue;
    // An endpoint's rule takes names that no list has, and a site may have taken entries back: what was seen is known.
    HistoryFilter only;
    only.*word.member = asked.*word.member;
    only.limit = 1;
    const auto seen = in_history(history, only, word.where);
    if (!seen) return std::unexpected(seen.error());
    if (!*seen) return fail(Error::Code::kInvalid, word.none(asked, "known or was seen"));
  }
  if (!workload_known) {
    if (auto r = check_workload_meant(history, asked.workload); !r) return r;
  }
  return asked.key.empty() ? Result<void>{} : check_key_meant(history, asked.key);
}

}  // namespace keytrail::serve
