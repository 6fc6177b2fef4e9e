// SPDX-License-Identifier: Apache-2.0
// Kubernetes' client configuration: a context joins a user (token, client certificate, password, what an auth-provider
// cached) and a cluster, whose server is the key's host (client-go's clientcmd/api/v1). An exec plugin's key is in no
// file: only the server is told.
#include <boost/json.hpp>

#include <algorithm>
#include <vector>

#include "agent/examine/credential.h"
#include "agent/examine/document.h"
#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

namespace json = boost::json;

/// The `inner` object of the entry of this name: "contexts: [{name: x, context: {…}}]".
const json::object* find(const json::object& root, std::string_view list, std::string_view name,
                         std::string_view inner) {
  const json::array* entries = array_of(root, list);
  if (entries == nullptr) return nullptr;
  for (const json::value& entry : *entries) {
    const json::object* object = entry.if_object();
    if (object != nullptr && text_of(*object, "name") == name) return object_of(*object, inner);
  }
  return nullptr;
}

void add_certificate(std::string_view certificate, std::string_view key, Work& work) {
  std::string_view certificate_pem;
  std::string_view key_pem;
  if (!decode_base64(certificate, false, work.scratch(), certificate_pem) ||
      !decode_base64(key, false, work.scratch(), key_pem))
    return work.skip();
  Hints hints = work.hints();
  hints.key_kind = "k8s.client_certificate";
  hints.key_class = KeyClass::kCertificate;
  hints.lifetime = Lifetime::kUnknown;
  hints.guessable = false;
  Work inner = work.with(hints);
  const std::size_t before = work.found().keys.size();
  // One is no key without the other; the two are joined by their public half.
  if (pem(key_pem, inner) != role::Unread::kNone || work.found().keys.size() == before) return work.skip();
  if (pem(certificate_pem, inner) != role::Unread::kNone) work.skip();
}

void add_user(const json::object& user, Entry entry, Work& work) {
  entry.login = text_of(user, "username");
  work.at(entry);
  const std::string_view certificate = text_of(user, "client-certificate-data");
  const std::string_view key = text_of(user, "client-key-data");
  if (!certificate.empty() && !key.empty()) add_certificate(certificate, key, work);
  if (const std::string_view path = text_of(user, "client-key"); key.empty() && !path.empty())
    work.add_place("client-key", path);
  // tokenFile wins over token, and is a file of its own.
  if (const std::string_view path = text_of(user, "tokenFile"); !path.empty()) work.add_place("tokenFile", path);
  if (const std::string_view token = trimmed(text_of(user, "token"));
      !token.empty() && text_of(user, "tokenFile").empty()) {
    if (!work.is_no_key(token) && !add_token_by_shape(token, work))
      work.add(work.fact("k8s.static_token", KeyClass::kAccessKey, Lifetime::kLongLived), token);
  }
  if (const std::string_view password = text_of(user, "password"); !password.empty())
    work.add(work.fact("http.basic_password", KeyClass::kPassword, Lifetime::kLongLived), password);
  const json::object* provider = object_of(user, "auth-provider");
  const json::object* config = provider == nullptr ? nullptr : object_of(*provider, "config");
  if (config == nullptr) return;
  struct Cached {
    std::string_view name, kind;
  };
  for (const Cached& one :
       {Cached{"id-token", "oidc.id_token"}, Cached{"access-token", "oauth.access_token"},
        Cached{"refresh-token", "oauth.refresh_token"}, Cached{"client-secret", "oauth.client_secret"}}) {
    const std::string_view secret = trimmed(text_of(*config, one.name));
    if (secret.empty() || add_token_by_shape(secret, work)) continue;
    work.add(work.fact(one.kind, KeyClass::kAccessKey, Lifetime::kUnknown), secret);
  }
}

std::string_view server_of(const json::object& root, std::string_view cluster) {
  const json::object* found = find(root, "clusters", cluster, "cluster");
  const std::optional<Url> url = found == nullptr ? std::nullopt : split_url(text_of(*found, "server"));
  return url ? url->host : std::string_view();
}

void add_contexts(const json::object& root, Work& work) {
  const std::string_view current = text_of(root, "current-context");
  std::vector<std::string_view> used;
  if (const json::array* contexts = array_of(root, "contexts")) {
    for (const json::value& value : *contexts) {
      const json::object* entry = value.if_object();
      const json::object* context = entry == nullptr ? nullptr : object_of(*entry, "context");
      const json::object* user = context == nullptr ? nullptr : find(root, "users", text_of(*context, "user"), "user");
      if (user == nullptr) {
        work.skip();
        continue;
      }
      const std::size_t before = work.found().keys.size();
      used.push_back(text_of(*context, "user"));
      const std::string_view name = text_of(*entry, "name");
      add_user(*user,
               {.selector = name,
                .host = server_of(root, text_of(*context, "cluster")),
                .current = !current.empty() && name == current},
               work);
      if (work.found().keys.size() == before && !user->empty()) work.add_elsewhere();
    }
  }
  const json::array* users = array_of(root, "users");
  if (users == nullptr) return;
  for (const json::value& value : *users) {  // of no context: kubectl --user
    const json::object* entry = value.if_object();
    const json::object* user = entry == nullptr ? nullptr : object_of(*entry, "user");
    if (user == nullptr) continue;
    const std::string_view name = text_of(*entry, "name");
    if (std::ranges::find(used, name) == used.end()) add_user(*user, {.selector = name}, work);
  }
}

}  // namespace

role::Unread kubeconfig(std::string_view bytes, Work& work) {
  const std::string_view text = trimmed(bytes);
  if (text.empty()) return role::Unread::kNone;
  TreeMemory memory(work.scratch(), tree_bytes(text.size()));
  const std::optional<json::value> root = text.front() == '{' ? read_json(text, memory) : read_yaml(text, memory);
  const json::object* object = root ? root->if_object() : nullptr;
  if (object == nullptr && text.find("\nusers:") != std::string_view::npos)
    return role::Unread::kUnknownFormat;                    // a kubeconfig that kubectl cannot read either
  if (object == nullptr) return configuration(text, work);  // k3s keeps its join token beside it
  if (object->contains("users") || object->contains("contexts") || object->contains("clusters")) {
    add_contexts(*object, work);
    return role::Unread::kNone;
  }
  return configuration(text, work);
}

}  // namespace keytrail::examine::format
