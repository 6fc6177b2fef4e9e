// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/settings.h"

#include <algorithm>
#include <array>

#include "agent/examine/formats.h"
#include "agent/examine/reference.h"
#include "agent/examine/request_parts.h"
#include "agent/examine/setting_forms.h"
#include "agent/examine/text.h"

namespace keytrail::examine {
namespace {

constexpr std::size_t kMaxSettings = 1024;  ///< of one section

bool is_access_key(std::string_view name) {
  return same_word(name, "access_key") || same_word(name, "accesskey") || same_word(name, "access-key");
}

/// "aws_session_token", "SessionToken", "security-token": the third part of a pair.
bool is_session_part(std::string_view name) {
  const auto ends = [&](std::string_view word) {
    return name.size() >= word.size() && same_word(name.substr(name.size() - word.size()), word);
  };
  return ends("session_token") || ends("sessiontoken") || ends("security_token") || ends("securitytoken") ||
         ends("security-token");
}

bool is_public_id(std::string_view value) {
  return value.size() >= 6 && value.size() <= 128 && is_name(value, 128) &&
         value.find_first_of(" /:@\"'") == std::string_view::npos;
}

bool holds_secret(std::string_view url) {
  const std::optional<Url> parts = split_url(url);
  return parts && !(parts->login.empty() && parts->secret.empty());
}

/// The key that a public id names: by its own shape, else the place's.
KeyFact fact_of_id(std::string_view id, const Work& work) {
  for (const catalog::ArgFormat& format : work.state().formats) {
    if (!format.is_public || format.kind.empty() || id.size() < format.min_len || id.size() > format.max_len) continue;
    if (id.starts_with(format.prefix)) {
      const bool session = id.starts_with("ASIA");
      return work.fact(format.kind, session ? KeyClass::kSessionToken : KeyClass::kAccessKey,
                       session ? Lifetime::kShortLived : Lifetime::kLongLived);
    }
  }
  return work.usual_fact();
}

/// "[profile \"x\"]" → "x", "registries.mine" → "mine": words that only say what sort of section it is go.
std::string_view section_name(std::string_view text) {
  text = trimmed(text);
  for (const std::string_view sort :
       {"registries.", "connections.", "profiles.", "profile ", "runners.", "http-basic.", "pypi-token.", "remote "}) {
    if (text.starts_with(sort)) text = trimmed(text.substr(sort.size()));
  }
  return unquoted(text);
}

/// What follows the value on its line: a comment after a blank, a comma, a semicolon.
std::string_view value_of(std::string_view text) {
  text = trimmed(text);
  if (!text.empty() && (text.front() == '"' || text.front() == '\'')) {
    const std::size_t end = text.find(text.front(), 1);
    return end == std::string_view::npos ? text.substr(1) : text.substr(1, end - 1);
  }
  for (const std::string_view comment : {" #", "\t#", " ;", "\t;"})
    text = text.substr(0, text.find(comment));
  while (text.ends_with(',') || text.ends_with(';') || text.ends_with(' '))
    text.remove_suffix(1);
  return text;
}

struct Line {
  std::string_view name, value;
};

/// "name = value", "name: value", "name value"; an empty name when it is none of these.
Line split_line(std::string_view text) {
  for (const std::string_view start : {"export ", "set ", "- "}) {
    if (text.starts_with(start)) text = trimmed(text.substr(start.size()));
  }
  std::size_t at = text.find_first_of(text.starts_with("//") ? "=" : "=:");
  // "requirepass a:b": the name ends at the blank.
  const std::size_t blank = text.find_first_of(" \t");
  const bool has_separator =
      at != std::string_view::npos && trimmed(text.substr(0, at)).find_first_of(" \t") == std::string_view::npos;
  if (!has_separator) at = blank;
  if (at == std::string_view::npos || at == 0) return {};
  const std::string_view name = unquoted(trimmed(text.substr(0, at)));
  const std::string_view value = text.substr(at + 1);
  return {name, same_word(name, "environment") ? trimmed(value) : value_of(value)};  // a list has quotes of its own
}

/// A URL and nothing else, not "name = URL".
bool is_url(std::string_view text) {
  const std::size_t scheme = text.find("://");
  return scheme != std::string_view::npos && text.substr(0, scheme).find_first_of("=: \t") == std::string_view::npos &&
         text.find_first_of(" \t") == std::string_view::npos;
}

/// A whole key file as one value, as CI keeps them: Google's JSON, as it is or in base64.
bool add_key_file(std::string_view value, Work& work) {
  constexpr std::size_t kShortest = 64;
  const bool encoded = value.starts_with("ey") || value.starts_with("ew");
  std::string_view file = value;
  if (value.size() < kShortest || (!encoded && !value.starts_with('{'))) return false;
  if (encoded && (value.find('.') != std::string_view::npos || !decode_base64(value, false, work.scratch(), file)))
    return false;
  const std::size_t before = work.found().keys.size();
  const std::uint32_t skipped = work.found().skipped;
  (void)format::google_credentials(file, work);
  const bool added = work.found().keys.size() > before;
  if (!added) work.found().skipped = skipped;  // a value of another sort, and no entry that was not understood
  return added;
}

/// What can only be a path: it begins like one, or ends as files of keys do.
bool names_file(std::string_view value) {
  constexpr std::array<std::string_view, 7> kBegin{"/", "~/", "./", "../", "$HOME/", "${", "file:///"};
  constexpr std::array<std::string_view, 16> kEnd{".pem",   ".key",  ".crt", ".cer", ".p12", ".pfx",  ".jks", ".json",
                                                  ".token", ".yaml", ".yml", ".txt", ".ini", ".conf", ".cfg", "netrc"};
  const auto begins = [&](std::string_view one) { return value.starts_with(one); };
  const auto ends = [&](std::string_view one) { return value.ends_with(one); };
  return std::ranges::any_of(kBegin, begins) ||
         (value.find_first_of(" :@=") == std::string_view::npos && std::ranges::any_of(kEnd, ends));
}

/// Maven's privateKey
bool is_home_path(std::string_view value) { return value.starts_with("~/") || value.starts_with("${user.home}/"); }

/// "https://a/ https://b/"
bool is_url_list(std::string_view text) {
  const std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos || !is_url(text.substr(0, blank))) return false;
  std::string_view rest = trimmed(text.substr(blank));
  return is_url(cut(rest, ' '));
}

void begin_section(std::string_view name, Settings& settings) {
  settings.begin({.selector = name, .host = host_of_name(name)});
}

}  // namespace

void Settings::set(std::string_view name, std::string_view value, std::string_view kind, bool password) {
  if (settings_.size() >= kMaxSettings) return work_.skip();
  value = trimmed(value);
  if (is_url_list(value)) {  // pip's indexes
    for (std::string_view rest = value; !rest.empty(); rest = trimmed(rest))
      set(name, cut(rest, ' '), kind, password);
    return;
  }
  if (kind.empty() && set_list(name, value)) return;
  Meaning meaning = kind.empty() ? meaning_of(name) : (password ? Meaning::kPassword : Meaning::kToken);
  if (meaning == Meaning::kNone && is_secret_by_shape(value, work_.state().formats)) meaning = Meaning::kToken;
  const bool is_address = value.find("://") != std::string_view::npos;
  std::string_view host;
  if (meaning == Meaning::kNone && !is_address && value.find(' ') == std::string_view::npos) {
    host = host_of_setting(name, entry_.selector, work_.scratch());
    if (!host.empty()) meaning = value.find(':') == std::string_view::npos ? Meaning::kToken : Meaning::kLoginAndSecret;
  }
  if (meaning == Meaning::kNone && (value.starts_with("Bearer ") || value.starts_with("Basic ")))
    meaning = Meaning::kHeader;
  if (value.empty() || (meaning == Meaning::kNone && !is_address)) return;
  settings_.push_back({.name = name, .value = value, .meaning = meaning, .kind = kind, .host = host});
}

void Settings::set_variable(std::string_view name, std::string_view value) {
  const catalog::EnvName* rule = find_variable(work_.state().env, name);
  const bool known =
      rule != nullptr && rule->action == catalog::EnvAction::kSecret && !rule->kind.starts_with("generic.");
  set(name, value, known ? rule->kind : std::string_view(), known && rule->unhashed);
}

bool Settings::set_list(std::string_view name, std::string_view value) {
  const Assignments found = assignments_of(name, value);
  std::string_view login;
  for (const auto& [own, text] : found.list) {
    if (found.variables) {
      // A list in a list is none of anybody's: environment=environment=… would go as deep as its file is long.
      if (!same_word(own, "environment")) set_variable(own, text);
    } else if (const Meaning meaning = meaning_of(own); meaning == Meaning::kLogin) {
      login = text;
    } else if (meaning == Meaning::kPassword || meaning == Meaning::kToken) {
      settings_.push_back({.name = name, .value = text, .meaning = meaning, .kind = {}});
    }
  }
  if (!found.variables && !found.list.empty() && !settings_.empty()) settings_.back().login = login;
  return !found.list.empty();
}

void Settings::describe(Entry& entry, const Setting* key) const {
  const std::string stem = key == nullptr ? std::string() : owner_stem_of(key->name);
  for (const Setting& setting : settings_) {
    if (key != nullptr && (setting.meaning != Meaning::kLogin && setting.meaning != Meaning::kHost)) continue;
    if (key != nullptr && owner_stem_of(setting.name) != stem) continue;
    if (!variable_of(setting.value).empty()) continue;
    if (setting.meaning == Meaning::kLogin && entry.login.empty()) entry.login = setting.value;
    if (setting.meaning == Meaning::kHost && entry.host.empty()) {
      const std::optional<Url> url = split_url(setting.value);
      const std::string_view host = url ? url->host : setting.value;
      if (host.find_first_of("/ \t@") == std::string_view::npos) entry.host = host;
    }
  }
}

/// A public id and its secret are one key, whose id it is.
void Settings::add_pairs() {
  for (Setting& id : settings_) {
    if (!is_public_id(id.value) || (id.meaning != Meaning::kIdentifier && !is_access_key(id.name))) continue;
    const std::string stem = stem_of(id.name);
    const auto best = std::ranges::find_if(settings_, [&](const Setting& secret) {
      return &secret != &id && !secret.used && secret.meaning == Meaning::kToken && !is_access_key(secret.name) &&
             !is_session_part(secret.name) && stem_of(secret.name) == stem;
    });
    if (best == settings_.end()) continue;
    best->used = id.used = true;
    if (work_.is_no_key(best->value) || work_.is_no_key(id.value)) continue;
    KeyFact fact = fact_of_id(id.value, work_);
    fact.key.id = std::string(id.value);
    if (by_name_) fact.selector = std::string(id.name);
    work_.add(std::move(fact), best->value);
    for (Setting& session : settings_)
      session.used = session.used || is_session_part(session.name);
  }
}

/// Under its own name where no section tells the keys apart.
void Settings::add(const Setting& setting) {
  const Entry outer = work_.entry();
  Entry entry = outer;
  if (by_name_) entry.selector = setting.name;
  if (setting.meaning == Meaning::kToken || (setting.meaning == Meaning::kPassword && !variables_)) {
    Entry own;
    describe(own, &setting);
    if (!own.login.empty()) entry.login = own.login;
    if (!own.host.empty() && !variables_) entry.host = own.host;
  }
  if (!setting.login.empty()) entry.login = setting.login;
  if (!setting.host.empty()) {
    entry.selector = setting.name;
    entry.host = setting.host;
  }
  work_.at(entry);
  add_value(setting);
  work_.at(outer);
}

void Settings::add_value(const Setting& setting) {
  switch (setting.meaning) {
    case Meaning::kToken:
    case Meaning::kPassword: {
      const bool password = setting.meaning == Meaning::kPassword;
      // "key" alone is any word's name.
      if (same_word(setting.name, "key") && setting.value.size() < 20) return;
      if (is_home_path(setting.value)) return work_.add_place(setting.name, setting.value);
      if (add_key_file(setting.value, work_)) return;
      if (setting.kind.empty()) {
        add_by_name(setting, password);
      } else if (!work_.is_no_key(setting.value, setting.kind) && !add_url(setting.value, work_) &&
                 !add_token_by_shape(setting.value, work_)) {
        // Not as keys of the kind look: some other service's that speaks the same protocol.
        const std::span<const catalog::ArgFormat> formats = work_.state().formats;
        const bool other =
            catalog::is_shaped(formats, setting.kind) && catalog::format_of_text(formats, setting.value) == nullptr;
        if (!other) work_.show();
        work_.add(
            other ? work_.usual_fact()
                  : work_.fact(setting.kind, password ? KeyClass::kPassword : KeyClass::kAccessKey, Lifetime::kUnknown),
            setting.value);
      }
      return;
    }
    case Meaning::kLoginAndSecret:
      if (!work_.is_no_key(setting.value)) (void)add_login_and_secret(setting.value, work_);
      return;
    case Meaning::kFile:
      // Some of these names are given to keys too: those stay here.
      return names_file(setting.value) ? work_.add_place(setting.name, setting.value) : void();
    case Meaning::kHeader:
      (void)add_header(setting.value, work_);
      return;
    case Meaning::kIdentifier:
    case Meaning::kLogin:
    case Meaning::kHost:
    case Meaning::kNone:
      // Of several URLs with keys in one section (pip's indexes), each is of its host.
      if (const std::optional<Url> url = split_url(setting.value); url && urls_ > 1 && !by_name_) {
        Entry entry = work_.entry();
        entry.selector = url->host;
        work_.at(entry);
      }
      (void)add_url(setting.value, work_);
      return;
  }
}

/// Of the kind that the place has for such a name; else what the value shows, or the place's usual one.
void Settings::add_by_name(const Setting& setting, bool password) {
  const std::string_view value = setting.value;
  if (add_grant(value, work_)) return;
  const bool has_scheme = value.find(' ') != std::string_view::npos && !password;
  if (has_scheme && add_header(value, work_)) return;  // cargo's token = "Bearer …"
  const bool granted = std::ranges::any_of(settings_, [](const Setting& one) { return is_access_token(one.name); });
  const std::string_view kind = kind_of_field(setting.name, granted, work_.hints());
  // Headers of vendors carry one kind of key, in a configuration as well (Maven's Job-Token).
  if (const catalog::CarriedKey* known = carried(setting.name, work_.state());
      known != nullptr && kind.empty() && setting.name.find('-') != std::string_view::npos)
    return add_carried(known->kind, value, work_);
  std::vector<KeyFact>& keys = work_.found().keys;
  const std::size_t before = keys.size();
  (void)add_credential(value, password, work_);
  if (kind.empty() || keys.size() == before) return;
  KeyFact& fact = keys.back();
  if (!fact.untold && !value.starts_with("eyJ")) return;  // its beginning tells more
  fact.key.kind = std::string(kind);
  fact.untold = false;
}

void Settings::begin(const Entry& entry) {
  if (!settings_.empty()) {
    const Entry own = entry_;
    const auto is_key = [](const Setting& one) {
      return !one.used && (one.meaning == Meaning::kToken || one.meaning == Meaning::kPassword);
    };
    urls_ = std::ranges::count_if(settings_, [](const Setting& one) { return holds_secret(one.value); });
    const bool was = by_name_;
    Entry described = own;
    if (!was) describe(described);
    work_.at(described);
    add_pairs();
    by_name_ = was || (own.selector.empty() && std::ranges::count_if(settings_, is_key) > 1);
    work_.at(by_name_ ? own : described);
    for (const Setting& setting : settings_) {
      if (!setting.used) add(setting);
    }
    by_name_ = was;
    work_.at({});
    settings_.clear();
  }
  entry_ = entry;
}

void read_lines(std::string_view bytes, Settings& settings, Work& work) {
  std::string_view option;  // of the line above: what is indented below it may be more of its value
  for_each_line(joined_lines(bytes, work.scratch()), [&](std::string_view raw) {
    const std::string_view text = trimmed(raw);
    const bool indented = !text.empty() && text.data() != raw.data();
    if (indented && !option.empty() && is_url(text)) return settings.set(option, text);
    if (text.empty() || text.front() == '#' || text.front() == ';' || text.front() == '}' || text.front() == '!')
      return;
    if (text.front() == '[') {
      const std::size_t end = text.find_last_of(']');
      if (end == std::string_view::npos) return work.skip();
      std::string_view inner = text.substr(1, end - 1);
      if (inner.starts_with('[')) inner.remove_prefix(1);
      if (inner.ends_with(']')) inner.remove_suffix(1);
      return begin_section(section_name(inner), settings);
    }
    if (text.ends_with('{') && text.find('=') == std::string_view::npos) {  // HCL: credentials "app.terraform.io" {
      const std::string_view head = trimmed(text.substr(0, text.size() - 1));
      const std::size_t blank = head.find_last_of(" \t");
      return begin_section(unquoted(blank == std::string_view::npos ? head : head.substr(blank + 1)), settings);
    }
    if (const std::size_t open = text.find('{'); text.ends_with('}') && open < text.find('=')) {  // … { token = "x" }
      const std::string_view head = trimmed(text.substr(0, open));
      begin_section(unquoted(head.substr(head.find_last_of(" \t") + 1)), settings);
      const Line line = split_line(trimmed(text.substr(open + 1, text.size() - open - 2)));
      if (!line.name.empty()) settings.set(line.name, line.value);
      return;
    }
    const Line line = split_line(text);
    if (!line.name.empty()) settings.set(line.name, line.value);
    option = line.name;
  });
  settings.finish();
}

}  // namespace keytrail::examine
