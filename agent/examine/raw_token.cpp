// SPDX-License-Identifier: Apache-2.0
// A file that is one token and nothing else, and what can be told of a text by its shape alone.
#include <algorithm>
#include <optional>

#include "agent/examine/credential.h"
#include "agent/examine/formats.h"

namespace keytrail::examine::format {
namespace {

constexpr std::size_t kAwsIdBytes = 20;
constexpr std::size_t kAwsSecretBytes = 40;
constexpr std::size_t kMaxShapes = 16;

bool is_upper_or_digit(char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
bool is_word(char c) { return is_upper_or_digit(c) || (c >= 'a' && c <= 'z'); }
bool is_token(char c) { return is_word(c) || c == '-' || c == '_' || c == '.'; }
bool is_base64(char c) { return is_word(c) || c == '+' || c == '/'; }

/// The next run of characters of `of` in `text` from `at` on; moves `at` behind it. Empty at the end.
template <typename Of>
std::string_view next_run(std::string_view text, std::size_t& at, Of of) {
  while (at < text.size() && !of(text[at]))
    ++at;
  const std::size_t begin = at;
  while (at < text.size() && of(text[at]))
    ++at;
  return text.substr(begin, at - begin);
}

/// The only run of 40 base64 characters, as an AWS secret is; empty when there are none or several.
std::string_view only_aws_secret(std::string_view text) {
  std::string_view found;
  std::size_t at = 0;
  for (std::string_view run = next_run(text, at, is_base64); !run.empty(); run = next_run(text, at, is_base64)) {
    if (run.size() != kAwsSecretBytes) continue;
    if (!found.empty() && found != run) return {};
    found = run;
  }
  return found;
}

bool is_aws_id(std::string_view run) {
  return run.size() == kAwsIdBytes && (run.starts_with("AKIA") || run.starts_with("ASIA")) &&
         std::ranges::all_of(run, is_upper_or_digit);
}

/// The only AWS key id in the text, if it is the only one.
std::optional<std::string_view> only_aws_id(std::string_view text) {
  std::optional<std::string_view> found;
  std::size_t at = 0;
  for (std::string_view run = next_run(text, at, is_word); !run.empty(); run = next_run(text, at, is_word)) {
    if (!is_aws_id(run)) continue;
    if (found && *found != run) return std::nullopt;
    found = run;
  }
  return found;
}

}  // namespace

bool add_by_shape(std::string_view text, Work& work) {
  std::size_t added = 0;
  std::size_t tried = 0;
  std::size_t at = 0;
  for (std::string_view run = next_run(text, at, is_token); !run.empty(); run = next_run(text, at, is_token)) {
    if (!run.starts_with("eyJ") || run.size() < 20) continue;
    if (++tried > kMaxShapes) {
      work.skip();
      break;
    }
    if (add_jwt(run, work)) ++added;
  }
  if (const std::optional<std::string_view> id = only_aws_id(text)) {
    const bool session = id->starts_with("ASIA");
    KeyFact fact = session ? work.fact("aws.session", KeyClass::kSessionToken, Lifetime::kShortLived)
                           : work.fact("aws.access_key", KeyClass::kAccessKey, Lifetime::kLongLived);
    fact.key.id = std::string(*id);
    work.add(std::move(fact), only_aws_secret(text));
    ++added;
  }
  return added > 0;
}

role::Unread raw_token(std::string_view bytes, Work& work) {
  const std::string_view token = trimmed(bytes);
  if (token.empty() || add_by_shape(token, work)) return role::Unread::kNone;
  if (token.find('\0') != std::string_view::npos) return role::Unread::kUnknownFormat;
  if (token.find('\n') == std::string_view::npos && work.is_no_key(token, work.hints().key_kind))
    return role::Unread::kNone;
  if (add_token_by_shape(token, work)) return role::Unread::kNone;
  work.add(work.usual_fact(work.hints().key_class == KeyClass::kPassword), token);
  return role::Unread::kNone;
}

}  // namespace keytrail::examine::format
