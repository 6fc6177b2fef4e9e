// SPDX-License-Identifier: Apache-2.0
// Google's credential files: service_account, authorized_user, impersonated_service_account, external_account, and
// OAuth client files (https://cloud.google.com/docs/authentication/application-default-credentials, google-auth's
// _default.py).
#include <boost/json.hpp>

#include "agent/examine/document.h"
#include "agent/examine/formats.h"

namespace keytrail::examine::format {
namespace {

namespace json = boost::json;

void add_service_account(const json::object& file, Work& work) {
  const std::string_view secret = trimmed(text_of(file, "private_key"));
  const std::string_view id = text_of(file, "private_key_id");
  const std::string_view owner = text_of(file, "client_email");
  if (!secret.starts_with("-----BEGIN ")) return work.skip();
  KeyFact fact = work.fact("gcp.service_account_key", KeyClass::kAccessKey, Lifetime::kLongLived);
  if (is_name(id, 120)) fact.key.id = std::string(id);
  if (is_name(owner, 254)) fact.key.principal = std::string(owner);
  work.add(std::move(fact), secret);
}

void add_refresh_token(const json::object& file, Work& work) {
  const std::string_view secret = trimmed(text_of(file, "refresh_token"));
  if (secret.empty()) return work.skip();
  KeyFact fact = work.fact("gcp.authorized_user", KeyClass::kAccessKey, Lifetime::kLongLived);
  const std::string_view account = text_of(file, "account");
  const std::string_view owner = account.empty() ? text_of(file, "client_id") : account;
  if (is_name(owner, 254)) fact.key.principal = std::string(owner);
  work.add(std::move(fact), secret);
}

/// Whose key is another's token, of another place: a file, or what a program leaves in one.
void add_source(const json::object& file, Work& work) {
  const json::object* source = object_of(file, "credential_source");
  if (source == nullptr) return;
  if (const std::string_view path = text_of(*source, "file"); !path.empty()) work.add_place("file", path);
  const json::object* program = object_of(*source, "executable");
  const std::string_view output = program == nullptr ? std::string_view() : text_of(*program, "output_file");
  if (!output.empty()) work.add_place("output_file", output);
}

/// False when the object is none of Google's files.
bool add_file(const json::object& file, Work& work) {
  const std::string_view type = text_of(file, "type");
  if (type == "service_account" || type == "gdch_service_account") {
    add_service_account(file, work);
  } else if (type == "authorized_user" || type == "external_account_authorized_user") {
    add_refresh_token(file, work);
  } else if (type == "impersonated_service_account") {
    const json::object* source = object_of(file, "source_credentials");
    if (source == nullptr || text_of(*source, "type") == type || !add_file(*source, work)) work.skip();
  } else if (type == "external_account") {
    add_source(file, work);
  } else {
    const json::object* client = object_of(file, "installed");
    if (client == nullptr) client = object_of(file, "web");
    const std::string_view secret = client == nullptr ? std::string_view() : trimmed(text_of(*client, "client_secret"));
    if (secret.empty()) return false;
    KeyFact fact = work.fact("gcp.oauth_client_secret", KeyClass::kAccessKey, Lifetime::kLongLived);
    if (const std::string_view id = text_of(*client, "client_id"); is_name(id, 254))
      fact.key.principal = std::string(id);
    work.add(std::move(fact), secret);
  }
  return true;
}

}  // namespace

role::Unread google_credentials(std::string_view bytes, Work& work) {
  const std::string_view text = trimmed(bytes);
  if (text.empty()) return role::Unread::kNone;
  if (!text.starts_with('{')) return configuration(text, work);  // gcloud keeps a .boto beside its JSON files
  TreeMemory memory(work.scratch(), tree_bytes(text.size()));
  const std::optional<json::value> root = read_json(text, memory);
  if (!root || !root->is_object()) return role::Unread::kUnknownFormat;
  (void)add_file(root->get_object(), work);  // else another JSON file of such a name: no key of Google's
  return role::Unread::kNone;
}

}  // namespace keytrail::examine::format
