// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/facts.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cctype>

#include "agent/examine/reference.h"
#include "agent/examine/text.h"

namespace keytrail::examine {
namespace {

constexpr std::size_t kMaxLabel = 230;  // leaves room for the tag in the message

/// "login@host", as far as the fact tells.
std::string owner_of(const KeyFact& fact) {
  if (fact.host.empty()) return fact.key.principal;
  return fact.key.principal + "@" + fact.host;
}

/// At most `max` bytes, ended before a character of UTF-8 that would be cut.
std::string_view cut_name(std::string_view name, std::size_t max) {
  if (name.size() <= max) return name;
  while (max > 0 && (static_cast<unsigned char>(name[max]) & 0xC0U) == 0x80U)
    --max;
  return name.substr(0, max);
}

/// A name that is a secret, or holds one: somebody gave a token as the login ("machine github.com login ghp_…"), or
/// as a profile's name.
bool tells_secret(std::string_view name, std::string_view secret, std::span<const catalog::ArgFormat> formats) {
  if (secret.size() >= kMinFingerprintedBytes && name.find(secret) != std::string_view::npos) return true;
  constexpr std::string_view kSeparators = ":/@ ";
  while (!name.empty()) {
    const std::size_t end = std::min(name.find_first_of(kSeparators), name.size());
    if (is_secret_by_shape(name.substr(0, end), formats)) return true;
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return false;
}

/// "sk_test_xxxxxxxxxxxx": nothing but a filler behind what the key begins with; or nothing but one character at all.
bool is_filler(std::string_view value) {
  constexpr std::size_t kRun = 8, kWhole = 3;
  if (value.size() >= kWhole && std::string_view("xX*.?").contains(value.front()) &&
      value.find_first_not_of(value.front()) == std::string_view::npos)
    return true;
  const std::size_t mark = value.find_last_of("_-");
  const std::string_view end = mark == std::string_view::npos ? value : value.substr(mark + 1);
  return end.size() >= kRun && (end.front() == 'x' || end.front() == 'X' || end.front() == '*') &&
         end.find_first_not_of(end.front()) == std::string_view::npos;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

bool is_secret_by_shape(std::string_view text, std::span<const catalog::ArgFormat> formats) {
  if (text.starts_with("eyJ") && std::ranges::count(text, '.') == 2) return true;
  return std::ranges::any_of(formats, [&](const catalog::ArgFormat& format) {
    return !format.is_public && !format.kind.empty() && !format.weak && text.starts_with(format.prefix) &&
           text.size() >= format.min_len && text.size() <= format.max_len;
  });
}

KeyFact Work::fact(std::string_view kind, KeyClass key_class, Lifetime lifetime) const {
  KeyFact out;
  out.key.kind = std::string(kind);
  out.key.key_class = kind == hints_.key_kind ? hints_.key_class : key_class;
  out.key.lifetime = kind == hints_.key_kind ? hints_.lifetime : lifetime;
  return out;
}

KeyFact Work::usual_fact(bool password) const {
  KeyFact out;
  out.untold = true;
  const bool hinted = !hints_.key_kind.empty() && password == (hints_.key_class == KeyClass::kPassword);
  const bool other = !hints_.other_kind.empty() && password == (hints_.other_class == KeyClass::kPassword);
  if (hinted || (!other && !password && !hints_.key_kind.empty())) {
    out.key.kind = std::string(hints_.key_kind);
    out.key.key_class = hints_.key_class;
    out.key.lifetime = hints_.lifetime;
  } else if (other) {
    out.key.kind = std::string(hints_.other_kind);
    out.key.key_class = hints_.other_class;
    out.key.lifetime = hints_.other_lifetime;
  } else {
    out.key.kind = password ? "generic.password" : "generic.secret";
    out.key.key_class = password ? KeyClass::kPassword : KeyClass::kAccessKey;
  }
  return out;
}

void Work::place(KeyFact& fact) const {
  if (fact.selector.empty() && is_name(entry_.selector, 126)) fact.selector = without_user_info(entry_.selector);
  if (fact.host.empty() && is_name(entry_.host, 126)) fact.host = std::string(entry_.host);
  if (fact.key.principal.empty() && is_name(entry_.login, 254)) fact.key.principal = std::string(entry_.login);
  fact.current = fact.current || entry_.current;
}

void strip_texts(KeyFact& fact) {
  for (std::string* text :
       {&fact.key.principal, &fact.key.parent, &fact.selector, &fact.variable, &fact.host, &fact.path})
    text->clear();
  fact.claims.clear();
  fact.current = false;
}

void Work::add(KeyFact fact, std::string_view secret, std::string_view label) {
  if (full()) return skip();
  place(fact);
  if (found_.bare) {
    const catalog::ArgFormat* const shape = catalog::format_of_text(state_.formats, fact.key.id);
    const bool shown = fact.key.id.starts_with("SHA256:") || fact.key.id.starts_with("spki:");
    if (!shown && (shape == nullptr || !shape->is_public)) fact.key.id.clear();
    if (!fact.selector.empty()) fact.selector_hash = base::fingerprint_of(state_.key, fact.selector);
    strip_texts(fact);
    label = {};
  }
  for (std::string* name : {&fact.key.id, &fact.key.principal, &fact.key.parent, &fact.selector, &fact.host}) {
    if (tells_secret(*name, secret, state_.formats)) name->clear();
  }
  if (tells_secret(label, secret, state_.formats)) label = {};
  const bool guessable = secret.size() < kMinFingerprintedBytes || fact.key.key_class == KeyClass::kPassword ||
                         fact.key.kind == "generic.dummy" || (hints_.guessable && fact.key.kind == hints_.key_kind);
  const std::string owner = label.empty() ? owner_of(fact) : std::string(label);
  if (!secret.empty()) {
    const Fingerprint print = base::fingerprint_of(state_.key, secret);
    if (!guessable) fact.key.fingerprint = print;
    if (fact.key.id.empty()) {
      const std::string tagged = owner.empty() ? fact.key.kind : fact.key.kind + ":" + owner;
      fact.key.id =
          guessable ? std::string(cut_name(tagged, kMaxLabel)) + " #" + tag_of(state_.key, secret) : print.text();
    }
  }
  if (fact.key.id.empty()) return skip();
  if (!fact.selector.empty()) fact.selector_hash = base::fingerprint_of(state_.key, fact.selector);
  found_.keys.push_back(std::move(fact));
}

Standing Work::standing(std::string_view value, std::string_view kind) const {
  const catalog::ArgFormat* format = catalog::format_of_text(state_.formats, value);
  if (format != nullptr && format->kind.empty() && !format->is_public)
    return format->dummy ? Standing::kDummy : Standing::kReference;
  if (is_variable_reference(value) || is_ciphertext(value) || is_template_mark(value)) return Standing::kReference;
  if (std::string_view rest = value; !next_variable(rest).empty()) return Standing::kReference;
  if (is_filler(value) || value.ends_with("EXAMPLE") || value.ends_with("EXAMPLEKEY")) return Standing::kDummy;
  const bool token = !kind.empty() && !kind.ends_with("password");  // a password may be any word
  if (token && (is_stand_in(value) || value.find_first_not_of("0-") == std::string_view::npos)) return Standing::kDummy;
  // Long and of no known shape, it may be a key of another service that speaks the same protocol: its kind is open.
  const bool short_of = format == nullptr && !kind.empty() && value.size() < catalog::shortest_of(state_.formats, kind);
  return short_of ? Standing::kDummy : Standing::kKey;
}

bool Work::is_no_key(std::string_view value, std::string_view kind) {
  const Standing what = standing(value, kind);
  if (what == Standing::kDummy) add(fact("generic.dummy", KeyClass::kAccessKey, Lifetime::kUnknown), value);
  if (what == Standing::kReference && expands_variables()) {
    const std::string_view whole = variable_of(value);
    add_place(whole);
    std::string_view rest = whole.empty() ? value : std::string_view();
    for (std::string_view name = next_variable(rest); !name.empty(); name = next_variable(rest))
      add_place(name);
  }
  return what != Standing::kKey;
}

/// npm, yarn, Maven, NuGet and pip put a variable's value there; others send what is written.
bool Work::expands_variables() const { return hints_.format == "npmrc" || hints_.format == "configuration"; }

void Work::add_elsewhere(std::string_view source) { add_elsewhere(source, {}, {}); }

void Work::add_place(std::string_view name, std::string_view path) {
  if (hints_.format.empty()) return;  // of a file whose place says nothing: it is looked through for keys alone
  if (!is_name(name, 62) || (!path.empty() && !is_file_name(path))) return;
  add_elsewhere({}, name, path);
}

void Work::add_address(std::string_view name, std::string_view address) {
  if (is_name(name, 62) && is_file_name(address)) add_elsewhere({}, name, address);
}

void Work::add_elsewhere(std::string_view source, std::string_view option, std::string_view path) {
  if (found_.bare) return;  // such a fact is nothing but text
  KeyFact fact;
  place(fact);
  fact.variable = std::string(option);
  fact.path = std::string(path);
  if (is_name(source, 126)) fact.key.parent = std::string(source);
  for (std::string* name :
       {&fact.key.principal, &fact.key.parent, &fact.selector, &fact.variable, &fact.host, &fact.path}) {
    if (tells_secret(*name, {}, state_.formats)) name->clear();
  }
  if (fact.path.empty() != path.empty()) fact.variable.clear();
  if (fact.host.empty() && fact.variable.empty() && (fact.key.parent.empty() || fact.selector.empty())) return;
  if (full()) return skip();
  if (!fact.selector.empty()) fact.selector_hash = base::fingerprint_of(state_.key, fact.selector);
  found_.keys.push_back(std::move(fact));
}

std::string tag_of(const base::SipKey& key, std::string_view secret) {
  constexpr std::size_t kDigits = 16;
  const Fingerprint print = base::fingerprint_of(key, secret);
  // Hashed again: neither side tells the other, and programs' arguments may have leaked the first (--profile).
  const Fingerprint tag{base::siphash_2_4_128(key, print.bytes)};
  return tag.text().substr(std::string_view("fp:").size(), kDigits);
}

std::string_view trimmed(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  while (!text.empty() && is_space(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_space(text.back()))
    text.remove_suffix(1);
  return text;
}

bool is_name(std::string_view text, std::size_t max) {
  if (text.empty() || text.size() > max) return false;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x20 || lead == 0x7f) return false;
    const std::size_t length = lead < 0x80                   ? 1
                               : lead >= 0xC2 && lead < 0xE0 ? 2
                               : lead >= 0xE0 && lead < 0xF0 ? 3
                               : lead >= 0xF0 && lead < 0xF5 ? 4
                                                             : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (std::size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0U) != 0x80U) return false;
    }
    if (length == 2 && lead == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0) return false;  // C1 controls
    i += length;
  }
  return true;
}

bool decode_base64(std::string_view text, bool url, Arena& scratch, std::string_view& out) {
  const std::span<char> plain = scratch.take(text.size() + 4);
  if (plain.empty()) return false;
  std::size_t n = 0;
  for (const char c : text) {
    if (!url && is_space(c)) continue;
    if (c == '=') break;
    if (url && (c == '+' || c == '/')) return false;
    plain[n++] = url && c == '-' ? '+' : url && c == '_' ? '/' : c;
  }
  if (n % 4 == 1) return false;
  std::size_t padding = 0;
  for (; n % 4 != 0; ++padding)
    plain[n++] = '=';
  const std::span<char> decoded = scratch.take(n / 4 * 3 + 1);
  if (decoded.empty()) return false;
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                                     reinterpret_cast<const unsigned char*>(plain.data()), static_cast<int>(n));
  if (length < static_cast<int>(padding)) return false;
  out = {decoded.data(), static_cast<std::size_t>(length) - padding};
  return true;
}

}  // namespace keytrail::examine
