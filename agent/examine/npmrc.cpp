// SPDX-License-Identifier: Apache-2.0
// npm's .npmrc: keys belong to a registry ("//host/path/:_authToken=…"); the old ones without it to the default
// registry (https://docs.npmjs.com/cli/configuring-npm/npmrc, npm-registry-fetch/lib/auth.js). _auth and _password are
// base64.
#include <map>

#include "agent/examine/credential.h"
#include "agent/examine/formats.h"
#include "agent/examine/reference.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

constexpr std::string_view kDefaultRegistry = "registry.npmjs.org";
constexpr std::size_t kMaxRegistries = 256;

struct Registry {
  std::string_view token, auth, password, login, key_file;
};

/// "//host/path/:_authToken" → ("host/path", "_authToken"); "_authToken" → ("", "_authToken").
std::pair<std::string_view, std::string_view> split_name(std::string_view name) {
  if (!name.starts_with("//")) return {{}, name};
  const std::size_t colon = name.rfind(':');
  if (colon == std::string_view::npos) return {{}, {}};
  std::string_view registry = name.substr(2, colon - 2);
  while (registry.ends_with('/'))
    registry.remove_suffix(1);
  return {registry, name.substr(colon + 1)};
}

/// As npm's ini reads it: a comment may begin anywhere outside quotes.
std::string_view value_of(std::string_view text) {
  if (!text.empty() && (text.front() == '"' || text.front() == '\'')) {
    const std::size_t end = text.find(text.front(), 1);
    return end == std::string_view::npos ? text : text.substr(1, end - 1);
  }
  return trimmed(text.substr(0, text.find_first_of(";#")));
}

void report(std::string_view registry, const Registry& keys, Work& work) {
  Entry entry{.selector = registry, .host = registry.substr(0, registry.find('/')), .login = keys.login};
  work.at(entry);
  std::string_view rest = keys.token;
  if (work.standing(keys.token) == Standing::kReference && variable_of(keys.token).empty() &&
      next_variable(rest).empty())
    work.add_elsewhere();
  if (!keys.key_file.empty()) work.add_place("keyfile", keys.key_file);
  if (!keys.token.empty()) (void)add_credential(keys.token, false, work);
  std::string_view plain;
  if (!keys.auth.empty() && !work.is_no_key(keys.auth)) {
    if (decode_base64(keys.auth, false, work.scratch(), plain) && plain.find(':') != std::string_view::npos) {
      entry.login = cut(plain, ':');
      plain = key_of_login(entry.login, plain, work);
      work.at(entry);
      (void)add_credential(plain, true, work);
    } else {
      work.skip();
    }
  }
  if (!keys.password.empty() && !work.is_no_key(keys.password)) {
    if (decode_base64(keys.password, false, work.scratch(), plain)) {
      (void)add_credential(plain, true, work);
    } else {
      work.skip();
    }
  }
}

}  // namespace

role::Unread npmrc(std::string_view bytes, Work& work) {
  if (bytes.find('\0') != std::string_view::npos) return role::Unread::kUnknownFormat;
  std::map<std::string_view, Registry> registries;
  std::string_view fallback = kDefaultRegistry;
  for_each_line(bytes, [&](std::string_view line) {
    line = trimmed(line);
    const std::size_t equals = line.find('=');
    if (line.empty() || line.front() == '#' || line.front() == ';' || line.front() == '[' ||
        equals == std::string_view::npos)
      return;
    const auto [registry, name] = split_name(unquoted(trimmed(line.substr(0, equals))));
    const std::string_view value = value_of(trimmed(line.substr(equals + 1)));
    if (name == "registry") {
      if (const std::optional<Url> url = split_url(value)) fallback = url->host;
      (void)add_url(value, work);
      return;
    }
    std::string_view Registry::* const field = name == "_authToken"  ? &Registry::token
                                               : name == "_auth"     ? &Registry::auth
                                               : name == "_password" ? &Registry::password
                                               : name == "username"  ? &Registry::login
                                               : name == "keyfile"   ? &Registry::key_file
                                                                     : nullptr;
    if (field == nullptr) return;
    if (registries.size() >= kMaxRegistries && !registries.contains(registry)) return work.skip();
    registries[registry].*field = value;
  });
  for (const auto& [registry, keys] : registries)
    report(registry.empty() ? fallback : registry, keys, work);
  return role::Unread::kNone;
}

}  // namespace keytrail::examine::format
