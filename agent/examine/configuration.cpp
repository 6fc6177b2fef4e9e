// SPDX-License-Identifier: Apache-2.0
// A configuration whose keys, if it has any, stand in it by name: JSON, YAML, XML, PHP, TOML, INI, HCL, properties.
// What it is shows its content, because one place may hold any of them. No key in it: no fact.
#include <algorithm>
#include <boost/json.hpp>

#include "agent/examine/document.h"
#include "agent/examine/formats.h"
#include "agent/examine/settings.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

namespace json = boost::json;

constexpr std::size_t kMinBareToken = 16;

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

class Walker {
 public:
  explicit Walker(Work& work) : work_(work), settings_(work) {}

  void document(const json::value& root) {
    if (const json::object* object = root.if_object()) {
      for (const std::string_view name :
           {"current", "current-context", "current_context", "current-profile", "active", "default"}) {
        if (current_.empty()) current_ = text_of(*object, name);
      }
    }
    walk(root, {});
  }

 private:
  void walk(const json::value& value, const Entry& entry) {
    if (const json::array* array = value.if_array()) {
      for (const json::value& one : *array)
        walk(one, entry);
    }
    const json::object* object = value.if_object();
    if (object == nullptr) return;
    if (work_.full()) return work_.skip();
    Entry own = entry;
    for (const std::string_view name : {"name", "id", "profile", "alias"}) {
      const std::string_view text = text_of(*object, name);
      if (!text.empty() && is_name(text, 126) && own.host.empty()) own.selector = text;
    }
    own.current = !current_.empty() && own.selector == current_;
    settings_.begin(own);
    const bool sealed = add_sealed(*object);
    named_pair(*object);
    for (const auto& member : *object)
      added(member.value());
    const std::string_view type = text_of(*object, "credential_type");  // MSAL: "secret" is of this type
    for (const auto& member : *object) {
      const std::string_view name(member.key().data(), member.key().size());
      if (const json::string* text = member.value().if_string())
        settings_.set(name == "secret" && !type.empty() ? type : name, view(*text));
      if (const json::array* list = member.value().if_array()) urls(name, *list);
    }
    settings_.finish();
    for (const auto& member : *object) {
      const std::string_view name(member.key().data(), member.key().size());
      if (!member.value().is_structured() || is_added(member.value()) || (sealed && name == "data")) continue;
      Entry below = own;
      if (own.host.empty() && is_name(name, 126)) {
        below.selector = name;
        below.host = host_of_name(name);
      }
      walk(member.value(), below);
    }
  }

  /// A Kubernetes Secret: its `data` is in base64, and may be a file of its own.
  bool add_sealed(const json::object& object) {
    const json::object* data = text_of(object, "kind") == "Secret" ? object_of(object, "data") : nullptr;
    if (data == nullptr) return false;
    for (const auto& member : *data) {
      const json::string* text = member.value().if_string();
      std::string_view plain;
      if (text == nullptr || !decode_base64(view(*text), false, work_.scratch(), plain)) continue;
      const std::string_view name(member.key().data(), member.key().size());
      name == ".dockerconfigjson" ? (void)docker_config(plain, work_) : settings_.set_variable(name, plain);
    }
    return true;
  }

  /// channels: [https://conda.example/t/TOKEN/channel]; environment: [NAME=value]
  void urls(std::string_view name, const json::array& list) {
    for (const json::value& one : list) {
      const json::string* item = one.if_string();
      if (item == nullptr) continue;
      std::string_view value = view(*item);
      if (value.find("://") != std::string_view::npos) settings_.set(name, value);
      if (same_word(name, "environment")) settings_.set_variable(cut(value, '='), value);
    }
  }

  /// <add key="Username" value="…"/>, one or several: settings of the element around them.
  static bool is_added(const json::value& value) {
    const json::array* list = value.if_array();
    if (list != nullptr) return !list->empty() && std::ranges::all_of(*list, is_added);
    const json::object* object = value.if_object();
    return object != nullptr && object->size() == 2 && !text_of(*object, "key").empty() && object->contains("value");
  }
  void added(const json::value& value) {
    if (!is_added(value)) return;
    if (const json::array* list = value.if_array()) {
      for (const json::value& one : *list)
        added(one);
      return;
    }
    const json::object& pair = value.get_object();
    settings_.set(text_of(pair, "key"), text_of(pair, "value"));
  }

  /// {"name": "API_TOKEN", "value": "…"}, <add key="ClearTextPassword" value="…"/>
  void named_pair(const json::object& object) {
    const std::string_view value = text_of(object, "value");
    for (const std::string_view name : {"name", "key"}) {
      if (const std::string_view text = text_of(object, name); !value.empty() && !text.empty())
        settings_.set(text, value);
    }
  }

  Work& work_;
  Settings settings_;
  std::string_view current_;
};

/// The same key for the same host, written twice (once more below its user's name), is one.
void join_copies(std::vector<KeyFact>& keys) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto is_copy = [&](const KeyFact& one) {
      return one.key.id == keys[i].key.id && !one.host.empty() && one.host == keys[i].host;
    };
    keys.erase(std::remove_if(keys.begin() + static_cast<std::ptrdiff_t>(i) + 1, keys.end(), is_copy), keys.end());
  }
}

bool walk_document(const std::optional<json::value>& root, Work& work) {
  if (!root || !root->is_structured()) return false;
  Walker(work).document(*root);
  join_copies(work.found().keys);
  return true;
}

/// One word and nothing else.
bool is_bare_token(std::string_view text) {
  return text.size() >= kMinBareToken && text.find_first_of(" \t\r\n[]{}<>\"'") == std::string_view::npos &&
         text.find("://") == std::string_view::npos && text.find_first_not_of('=') < text.find_last_not_of('=') &&
         text.substr(0, text.find_last_not_of('=') + 1).find('=') == std::string_view::npos;
}

}  // namespace

role::Unread configuration(std::string_view bytes, Work& work) {
  const std::string_view text = trimmed(bytes);
  if (text.empty()) return role::Unread::kNone;
  if (text.find('\0') != std::string_view::npos) return role::Unread::kUnknownFormat;
  if (text.find("\nRCLONE_ENCRYPT_V") != std::string_view::npos) work.skip();  // a file that a password seals
  if (text.starts_with("-----BEGIN ") || text.starts_with("Bag Attributes")) return pem(text, work);
  if (is_bare_token(text)) return raw_token(text, work);
  {
    TreeMemory memory(work.scratch(), tree_bytes(text.size()));
    if (text.front() == '{' || text.front() == '[') {
      if (walk_document(read_json(text, memory), work)) return role::Unread::kNone;
    } else if (text.starts_with("<?php")) {
      return walk_document(read_php(text, memory), work) ? role::Unread::kNone : role::Unread::kUnknownFormat;
    } else if (text.front() == '<') {
      return walk_document(read_xml(text, memory), work) ? role::Unread::kNone : role::Unread::kUnknownFormat;
    } else if (walk_document(read_yaml(text, memory, true), work)) {
      return role::Unread::kNone;
    }
  }
  if (text.front() == '{') return role::Unread::kUnknownFormat;
  Settings settings(work);
  read_lines(text, settings, work);
  return role::Unread::kNone;
}

}  // namespace keytrail::examine::format
