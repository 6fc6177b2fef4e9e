// SPDX-License-Identifier: Apache-2.0
// Docker's config.json, podman's and skopeo's auth.json, kubelet's .dockercfg: a key for each registry
// (containers-auth.json(5), docker/cli's configfile). What a helper keeps (credHelpers, credsStore) is in no file.
#include <boost/json.hpp>

#include "agent/examine/credential.h"
#include "agent/examine/document.h"
#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

namespace json = boost::json;

/// "https://index.docker.io/v1/", "registry.example:5000/team" → the host with its port.
std::string_view host_of(std::string_view registry) {
  const std::optional<Url> url = split_url(registry);
  return url ? url->host : registry.substr(0, registry.find('/'));
}

void add_password(std::string_view secret, Work& work) {
  if (work.entry().login.starts_with(
          "_json_key")) {  // Google's registries take a service account's key file as the password
    std::string_view file = secret;
    if (work.entry().login == "_json_key_base64" && !decode_base64(secret, false, work.scratch(), file))
      return work.skip();
    if (google_credentials(file, work) != role::Unread::kNone) work.skip();
    return;
  }
  (void)add_credential(secret, true, work);
}

void add_token(std::string_view token, std::string_view kind, Work& work) {
  std::vector<KeyFact>& keys = work.found().keys;
  const std::size_t before = keys.size();
  if (token.empty() || !add_credential(token, false, work) || keys.size() == before) return;
  KeyFact& fact = keys.back();
  if (!fact.untold && !token.starts_with("eyJ")) return;  // its beginning tells more
  fact.key.kind = kind;
  fact.untold = true;
}

void add_registry(std::string_view registry, const json::object& keys, Work& work) {
  Entry entry{.selector = registry, .host = host_of(registry), .login = text_of(keys, "username")};
  std::string_view secret = text_of(keys, "password");
  if (const std::string_view auth = text_of(keys, "auth"); secret.empty() && !auth.empty()) {
    std::string_view plain;
    if (!decode_base64(auth, false, work.scratch(), plain) || plain.find(':') == std::string_view::npos)
      return work.skip();
    entry.login = cut(plain, ':');
    while (plain.ends_with('\0'))  // docker's own writers padded it once
      plain.remove_suffix(1);
    secret = plain;
  }
  work.at({.selector = registry, .host = entry.host});
  // What the registry's own token service gave: to buy tokens with, and such a token.
  add_token(text_of(keys, "identitytoken"), "oauth.refresh_token", work);
  add_token(text_of(keys, "registrytoken"), "registry.bearer_token", work);
  secret = key_of_login(entry.login, secret, work);
  work.at(entry);
  if (!secret.empty()) add_password(secret, work);
}

/// Of credHelpers, or empty: credsStore has it.
void add_kept_by_helper(std::string_view registry, Work& work) {
  work.at({.selector = registry, .host = host_of(registry)});
  work.add_elsewhere();
  work.at({});
}

bool is_registry(const json::value& value) {
  const json::object* keys = value.if_object();
  return keys != nullptr && (keys->contains("auth") || keys->contains("identitytoken") ||
                             keys->contains("registrytoken") || keys->contains("password"));
}

}  // namespace

role::Unread docker_config(std::string_view bytes, Work& work) {
  const std::string_view text = trimmed(bytes);
  if (!text.starts_with('{')) return configuration(text, work);  // helm keeps a YAML file beside its own
  TreeMemory memory(work.scratch(), tree_bytes(text.size()));
  const std::optional<json::value> root = read_json(text, memory);
  if (!root || !root->is_object()) return role::Unread::kUnknownFormat;
  const json::object* registries = object_of(root->get_object(), "auths");
  for (const auto& one : registries != nullptr ? *registries : root->get_object()) {
    const std::string_view name(one.key().data(), one.key().size());
    if (is_registry(one.value())) {
      add_registry(name, one.value().get_object(), work);
    } else if (registries != nullptr) {
      const json::object* keys = one.value().if_object();
      keys != nullptr && keys->empty() ? add_kept_by_helper(name, work) : work.skip();
    }
  }
  if (const json::object* helpers = object_of(root->get_object(), "credHelpers")) {
    for (const auto& one : *helpers)
      add_kept_by_helper({one.key().data(), one.key().size()}, work);
  }
  return role::Unread::kNone;
}

}  // namespace keytrail::examine::format
