// SPDX-License-Identifier: Apache-2.0
#include "agent/link/environment.h"

#include <algorithm>

#include "agent/base/program_name.h"

namespace keytrail::link {
namespace {

using catalog::Catalog;
using catalog::Env;
using catalog::EnvUse;

constexpr std::string_view kDummy = "generic.dummy";

struct Known {
  const EnvItem* item;
  const Env* entry;
  std::string_view login;  ///< of a password: whose it is, where another variable says so
};

Key make_key(std::string id, std::string_view kind_id, const Fingerprint& fingerprint, const Catalog& catalog) {
  Key key;
  key.id = std::move(id);
  key.kind = kind_id;
  key.fingerprint = fingerprint;
  if (const catalog::Kind* kind = catalog.kind(kind_id)) {
    key.key_class = kind->key_class;
    key.lifetime = kind->lifetime;
  }
  return key;
}

/// A session token is the third part of a pair: of no pair itself, and of a kind that the identifier may name.
bool completes(const Env& secret, const Env& identifier, const Catalog& catalog) {
  if (!secret.pair.empty() || identifier.pair.empty() || secret.provider != identifier.provider) return false;
  const catalog::Kind* kind = catalog.kind(secret.kind);
  return kind != nullptr && kind->key_class == KeyClass::kSessionToken &&
         std::ranges::find(identifier.kinds, secret.kind) != identifier.kinds.end();
}

/// "*_CLIENT_ID" goes with the "*_CLIENT_SECRET" that begins as it does.
bool begin_alike(const Known& identifier, const Known& secret) {
  const std::string_view pattern = identifier.entry->name, pair = identifier.entry->pair;
  if (!pattern.starts_with('*') || !pair.starts_with('*')) return false;
  const std::string_view name = identifier.item->name;
  const std::string_view stem = name.substr(0, name.size() - (pattern.size() - 1));
  return secret.item->name == std::string(stem).append(pair.substr(1));
}

bool is_pair(const Known& identifier, const Known& secret) {
  return begin_alike(identifier, secret) || secret.item->name == identifier.entry->pair ||
         secret.entry->pair == identifier.item->name;
}

/// Kind of a pair: a session token beside it makes it a session; AWS tells by the id's prefix as well.
std::string_view kind_of_pair(const Known& identifier, std::span<const Known> secrets, const Catalog& catalog) {
  for (const Known& secret : secrets) {
    if (secret.entry->kind.empty() || secret.entry->kind == identifier.entry->kind) continue;
    const catalog::Kind* kind = catalog.kind(secret.entry->kind);
    if (kind != nullptr && kind->key_class == KeyClass::kSessionToken) return secret.entry->kind;
  }
  if (identifier.entry->kind == "aws.access_key" && identifier.item->value.starts_with("ASIA")) return "aws.session";
  return identifier.entry->kind;
}

std::string id_of_secret(const Known& secret, std::string_view kind, std::string_view owner) {
  if (!secret.item->fingerprint.empty() && kind != kDummy) return secret.item->fingerprint.text();
  // A password or a short value: its fingerprint never leaves the examiner. Until that has numbered it, or if the
  // process ended before, its place names it.
  return std::string(kind) + ":" + secret.item->name + "@" + std::string(owner) + " #?";
}

/// What the value is, by its beginning: the kind that it shows, else what the name says. Empty: no key at all, it names
/// one that is kept elsewhere.
std::string_view kind_of_value(const EnvItem& item, std::string_view named, const Catalog& catalog) {
  const Catalog::Format* format = item.format.empty() ? nullptr : catalog.format(item.format);
  if (format == nullptr) {
    const catalog::Kind* kind = catalog.kind(named);
    if (kind == nullptr) return named;
    // No key of the kind looks so: a stand-in, or the key of some other service that speaks the same protocol.
    if (item.length < kind->shortest) return kDummy;
    return kind->shaped ? std::string_view("generic.secret") : named;
  }
  if (!format->kind.empty()) return format->weak || format->public_id ? named : format->kind;
  if (format->public_id) return named;
  return format->provider == "dummy" ? kDummy : std::string_view();
}

/// Ids of AWS's documentation, or with a filler.
bool is_example(std::string_view id) { return id.ends_with("EXAMPLE") || id.contains("XXXX"); }

/// A path as people and variables write it: /var/run is /run, and a projected volume's generation ("..2026_11_21",
/// "..data") is left out.
std::string usual_path(std::string_view path) {
  std::string out;
  if (path.starts_with("/var/run/")) path.remove_prefix(std::string_view("/var").size());
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view component = path.substr(0, end);
    if (!(component.starts_with("/..") && component.size() > 3)) out += component;
    path.remove_prefix(end);
  }
  return out;
}

}  // namespace

std::vector<FoundKey> keys_of_environment(const SharedList<EnvItem>& env, const Catalog& catalog,
                                          std::string_view owner) {
  std::vector<Known> identifiers, secrets;
  for (const EnvItem& item : env) {
    const Env* entry = catalog.match_env(item.name);
    if (entry == nullptr || (item.length == 0 && item.value.empty() && item.fingerprint.empty())) continue;
    if (entry->use == EnvUse::kIdentifier && !item.value.empty()) identifiers.push_back({&item, entry});
    if (entry->use == EnvUse::kSecret && !kind_of_value(item, entry->kind, catalog).empty())
      secrets.push_back({&item, entry});
  }
  std::vector<FoundKey> found;
  for (const Known& identifier : identifiers) {
    std::vector<Known> paired;
    std::erase_if(secrets, [&](const Known& secret) {
      const bool belongs = is_pair(identifier, secret) || completes(*secret.entry, *identifier.entry, catalog);
      if (belongs) paired.push_back(secret);
      return belongs;
    });
    // An identifier alone hands over nothing; the secret may be one of several, a third part is not enough.
    const bool has_secret =
        std::ranges::any_of(paired, [&](const Known& secret) { return is_pair(identifier, secret); });
    if (!has_secret) {
      secrets.insert(secrets.end(), paired.begin(), paired.end());
      continue;
    }
    Known& main = *std::ranges::find_if(paired, [&](const Known& secret) { return is_pair(identifier, secret); });
    const bool dummy = is_example(identifier.item->value) || std::ranges::any_of(paired, [&](const Known& secret) {
                         return kind_of_value(*secret.item, secret.entry->kind, catalog) == kDummy;
                       });
    const std::string_view kind = dummy ? kDummy : kind_of_pair(identifier, paired, catalog);
    // A login is no password's id, nor a client's that of its secret: two of them are two keys.
    const catalog::Kind* known = catalog.kind(kind);
    if (!dummy && (identifier.entry->owner || (known != nullptr && known->guessable))) {
      main.login = identifier.item->value;
      secrets.insert(secrets.end(), paired.begin(), paired.end());
      continue;
    }
    // An id of another shape than AWS's is that of another service that speaks S3.
    const bool untold = kind == "aws.access_key" && !identifier.item->value.starts_with("AKIA");
    found.push_back(
        {.key = make_key(identifier.item->value, kind, dummy ? Fingerprint() : main.item->fingerprint, catalog),
         .slot = Slot{From::kEnvironment, identifier.item->name, {}},
         .kinds = untold ? identifier.entry->kinds : std::span<const std::string_view>()});
  }
  for (const Known& secret : secrets) {
    const std::string_view kind = kind_of_value(*secret.item, secret.entry->kind, catalog);
    const Fingerprint print = kind == kDummy ? Fingerprint() : secret.item->fingerprint;
    found.push_back({.key = make_key(id_of_secret(secret, kind, owner), kind, print, catalog),
                     .slot = Slot{From::kEnvironment, secret.item->name, {}},
                     .kinds = kind == secret.entry->kind ? secret.entry->kinds : std::span<const std::string_view>(),
                     .host = secret.item->value,
                     .told = secret.entry->url || secret.item->fingerprint.empty()});
    found.back().key.principal = secret.login;
  }
  return found;
}

bool hides_address(const SharedList<EnvItem>& env, const Catalog& catalog) {
  return std::ranges::any_of(env, [&](const EnvItem& item) {
    if (item.length == 0 || !item.value.empty() || !item.fingerprint.empty()) return false;
    const Env* entry = catalog.match_env(item.name);
    return entry != nullptr && entry->url && entry->use != EnvUse::kSecret;
  });
}

std::vector<FoundKey> keys_of_arguments(const SharedList<ArgItem>& args, const Catalog& catalog, KeyIndex& index) {
  std::vector<FoundKey> found;
  for (const ArgItem& arg : args) {
    const Slot slot{From::kArgument, arg.flag.empty() ? "argument " + std::to_string(arg.position) : arg.flag, {}};
    if (arg.fingerprint.empty()) continue;
    if (const Key* known = index.find(arg.fingerprint)) {
      found.push_back({.key = *known, .slot = slot});
    } else if (!arg.format.empty() && arg.value.empty()) {
      const Catalog::Format* format = catalog.format(arg.format);
      if (format == nullptr || format->public_id || format->kind.empty()) continue;
      found.push_back({.key = make_key(arg.fingerprint.text(), format->kind, arg.fingerprint, catalog), .slot = slot});
    }
  }
  return found;
}

bool names_path(std::string_view pointer, std::string_view path) {
  if (pointer.starts_with("file://")) pointer.remove_prefix(7);
  const std::string named = usual_path(pointer);
  const std::string opened = usual_path(path);
  if (named.starts_with('/')) return named == opened;
  // Resolved against a directory or a home that the agent does not know: its end must be the path's end.
  std::string_view end = named;
  while (end.starts_with("./") || end.starts_with("../") || end.starts_with("~/"))
    end.remove_prefix(end.find('/') + 1);
  return !end.empty() && opened.size() > end.size() && opened.ends_with(end) &&
         opened[opened.size() - end.size() - 1] == '/';
}

bool names_path_in_list(std::string_view pointers, std::string_view path) {
  if (names_path(pointers, path)) return true;
  while (!pointers.empty()) {
    const std::string_view one = pointers.substr(0, pointers.find(':'));
    if (names_path(one, path)) return true;
    pointers.remove_prefix(std::min(one.size() + 1, pointers.size()));
  }
  return false;
}

std::string_view kind_of_named_socket(const SharedList<EnvItem>& env, const Catalog& catalog, std::string_view path) {
  for (const EnvItem& item : env) {
    std::string_view named = item.value;
    for (const std::string_view scheme : {"unix://", "unix:"}) {
      if (named.starts_with(scheme)) named.remove_prefix(scheme.size());
    }
    if (item.truncated || !named.starts_with('/') || usual_path(named) != usual_path(path)) continue;
    const Env* entry = catalog.match_env(item.name);
    if (entry != nullptr && entry->hands_out()) return entry->kind;
  }
  return {};
}

const catalog::File* file_of_pointer(const SharedList<EnvItem>& env, const Catalog& catalog, std::string_view path) {
  for (const EnvItem& item : env) {
    if (item.truncated || !names_path_in_list(item.value, path)) continue;
    const Env* entry = catalog.match_env(item.name);
    if (entry != nullptr && entry->use == EnvUse::kPointer) {
      if (const catalog::File* file = catalog.file(entry->file)) return file;
    }
  }
  return nullptr;
}

const catalog::File* file_of_argument(const Process& process, const Catalog& catalog, std::string_view path) {
  for (const ArgItem& arg : process.args) {
    if (arg.flag.empty() || !names_path(arg.value, path)) continue;
    // The kernel side goes by the name that was executed: of a script, its own.
    for (const std::string_view program : {base::base_name(process.filename), base::base_name(process.exe)}) {
      if (const catalog::File* file = catalog.file_of_flag(program, arg.flag)) return file;
    }
  }
  return nullptr;
}

}  // namespace keytrail::link
