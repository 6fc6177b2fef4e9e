// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/request_parts.h"

#include <algorithm>
#include <array>

#include "agent/examine/credential.h"
#include "agent/examine/document.h"
#include "agent/examine/text.h"

namespace keytrail::examine {
namespace {

namespace json = boost::json;

constexpr std::size_t kShortestCookie = 16;  ///< of a cookie that only its name says to be a session
constexpr std::initializer_list<std::string_view> kLogins = {"username", "user",  "client_id",
                                                             "clientId", "login", "email"};

/// A service's own names are in no catalog. Of a database's connection text only those that are known count.
bool may_tell_by_name(const Work& work) { return work.hints().other_kind.starts_with("http."); }

/// "nextPageToken", "sync_token": where to go on, not who asks.
bool is_bookmark(std::string_view name) {
  static constexpr std::array<std::string_view, 7> kMarks{"page",  "next",         "cursor", "sync",
                                                          "resum", "continuation", "upload"};
  const std::string small = lower(name);
  return std::ranges::any_of(kMarks, [&](std::string_view mark) { return small.contains(mark); });
}

void add_field(std::string_view name, std::string_view value, Work& work) {
  if (value.empty() || value.front() == '@' || value.front() == '<') return;  // a file's content
  if (const catalog::CarriedKey* known = carried(name, work.state())) {
    const bool own = known->kind.ends_with("password") && !work.hints().other_kind.empty();
    return add_carried(own ? work.hints().other_kind : known->kind, value, work);
  }
  if (!may_tell_by_name(work) || guards_a_form(name) || is_bookmark(name) || same_word(name, "key")) return;
  const Meaning meaning = meaning_of(name);
  if (meaning == Meaning::kPassword || meaning == Meaning::kToken)
    (void)add_credential(value, meaning == Meaning::kPassword, work);
}

void walk(const json::value& value, const Entry& outer, Work& work) {
  if (const json::array* array = value.if_array()) {
    for (const json::value& one : *array)
      walk(one, outer, work);
  }
  const json::object* object = value.if_object();
  if (object == nullptr) return;
  Entry entry = outer;
  for (const std::string_view name : kLogins) {
    if (const std::string_view login = text_of(*object, name); !login.empty()) {
      entry.login = login;
      break;
    }
  }
  for (const auto& member : *object) {
    const std::string_view name(member.key().data(), member.key().size());
    entry.selector = name;
    work.at(entry);
    const json::string* text = member.value().if_string();
    if (text != nullptr) add_field(name, {text->data(), text->size()}, work);
    if (member.value().is_structured()) walk(member.value(), entry, work);
  }
  work.at(outer);
}

bool names_session(std::string_view cookie) {
  static constexpr std::array<std::string_view, 6> kParts{"sess", "token", "auth", "jwt", "remember", "login"};
  const std::string small = lower(cookie);
  return small.ends_with("sid") ||
         std::ranges::any_of(kParts, [&](std::string_view part) { return small.contains(part); });
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

bool guards_a_form(std::string_view name) {
  const std::string small = lower(name);
  return small.contains("csrf") || small.contains("xsrf");
}

const catalog::CarriedKey* carried(std::string_view name, const ExaminerState& state) {
  const auto known = std::ranges::lower_bound(state.carried, lower(name), {}, &catalog::CarriedKey::name);
  return known != state.carried.end() && same_word(known->name, name) ? &*known : nullptr;
}

void add_carried(std::string_view kind, std::string_view value, Work& work) {
  if (value.empty() || work.is_no_key(value, kind) || add_token_by_shape(value, work)) return;
  const KeyClass of = kind.ends_with("password") ? KeyClass::kPassword : KeyClass::kAccessKey;
  work.add(work.fact(kind, of, Lifetime::kUnknown), value);
}

bool field(std::string_view fields, char separator, std::initializer_list<std::string_view> names,
           std::string_view& value) {
  while (!fields.empty()) {
    std::string_view one = cut(fields, separator);
    const std::string_view name = cut(one, '=');
    if (std::ranges::find(names, name) == names.end()) continue;
    value = unquoted(one);
    return true;
  }
  return false;
}

void add_fields(std::string_view fields, char separator, Work& work) {
  const Entry outer = work.entry();
  Entry entry = outer;
  if (std::string_view login; field(fields, separator, kLogins, login))
    entry.login = percent_decoded(login, work.scratch());
  while (!fields.empty()) {
    std::string_view value = cut(fields, separator);
    entry.selector = cut(value, '=');
    work.at(entry);
    add_field(entry.selector, percent_decoded(unquoted(value), work.scratch()), work);
  }
  work.at(outer);
}

bool add_json(std::string_view text, Work& work) {
  text = trimmed(text);
  if (!text.starts_with('{') && !text.starts_with('[')) return false;
  TreeMemory memory(work.scratch(), tree_bytes(text.size()));
  const std::optional<json::value> root = read_json(text, memory);
  if (root) walk(*root, work.entry(), work);
  return root.has_value();
}

void add_cookies(std::string_view text, Work& work) {
  const Entry outer = work.entry();
  Entry entry = outer;
  while (!text.empty()) {
    std::string_view value = cut(text, ';');
    entry.selector = trimmed(cut(value, '='));
    value = unquoted(trimmed(value));
    if (entry.selector.empty() || guards_a_form(entry.selector)) continue;
    work.at(entry);
    const catalog::CarriedKey* known = carried(entry.selector, work.state());
    if (known != nullptr) {
      add_carried(known->kind, value, work);
    } else if (names_session(entry.selector) && value.size() >= kShortestCookie) {
      add_carried("http.session_cookie", value, work);
    }
  }
  work.at(outer);
}

void add_known(std::string_view text, Work& work) {
  constexpr std::string_view kHard = " \t\r\n\"'`<>,;&()[]{}|\\";        // no key goes on behind one of these
  constexpr std::string_view kSoft = " \t\r\n\"'`<>,;&()[]{}|\\=:?/@#";  // a key may begin behind one of these
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find_first_of(kSoft));
    std::string_view found;
    for (const std::string_view one : {word, text.substr(0, text.find_first_of(kHard))}) {
      if (found.empty() && one.size() >= kMinFingerprintedBytes && work.standing(one) == Standing::kKey &&
          add_token_by_shape(one, work))
        found = one;
    }
    text.remove_prefix(std::min(std::max(found.size(), word.size()) + 1, text.size()));
  }
}

}  // namespace keytrail::examine
