// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/believed.h"

#include <algorithm>
#include <array>

#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine {
namespace {

using namespace std::string_view_literals;

bool is_password(std::string_view id, const catalog::Catalog& catalog) {
  const catalog::Kind* const kind = catalog.kind(id);
  return kind != nullptr && kind->key_class == KeyClass::kPassword;
}

/// As the worker would ask for a file of this entry.
void hints_of(const catalog::File& entry, const catalog::Catalog& catalog, Belief& out) {
  out.hints.format = entry.format;
  out.hints.key_kind = entry.kind;
  if (const catalog::Kind* const kind = catalog.kind(entry.kind); kind != nullptr) {
    out.hints.key_class = kind->key_class;
    out.hints.lifetime = kind->lifetime;
    out.hints.guessable = kind->guessable;
  }
  for (const std::string_view kind : entry.kinds) {
    out.kinds.append(out.kinds.empty() ? "" : " ").append(kind);
    if (out.hints.other_kind.empty() && is_password(kind, catalog) != is_password(entry.kind, catalog))
      out.hints.other_kind = kind;
  }
  out.hints.kinds = out.kinds;
  if (const catalog::Kind* const other = catalog.kind(out.hints.other_kind); other != nullptr) {
    out.hints.other_class = other->key_class;
    out.hints.other_lifetime = other->lifetime;
  }
}

/// Every line that is none of `ignored` begins with one of these words, and there is one.
bool is_of_words(std::string_view bytes, std::span<const std::string_view> words) {
  std::size_t lines = 0;
  bool good = true;
  for_each_line(bytes, [&](std::string_view line) {
    line = trimmed(line);
    if (!good || line.empty() || line.front() == '#') return;
    const std::string_view word = line.substr(0, line.find_first_of(" \t="));
    good = std::ranges::any_of(words, [&](std::string_view one) { return same_word(word, one); });
    ++lines;
  });
  return good && lines > 0;
}

/// Every "[section]" begins with one of these, there is one, and nothing else stands there but options and comments.
bool is_of_sections(std::string_view bytes, std::span<const std::string_view> sections) {
  std::size_t seen = 0;
  bool good = true;
  for_each_line(bytes, [&](std::string_view line) {
    const std::string_view text = trimmed(line);
    if (!good || text.empty() || text.front() == '#' || text.front() == ';') return;
    if (text.front() != '[') {
      good = seen > 0;
      return;
    }
    const std::string_view name = text.substr(1, text.find_first_of(" \t]\"", 1) - 1);
    good = std::ranges::any_of(sections, [&](std::string_view one) { return same_word(name, one); });
    ++seen;
  });
  return good && seen > 0;
}

/// Whether the file itself shows that it is of this format: what its parser tells is what people write there.
bool shows(std::string_view format, std::string_view bytes, ExaminerState& state, Arena& scratch) {
  static constexpr std::array kSsh{"Host"sv,
                                   "Match"sv,
                                   "HostName"sv,
                                   "User"sv,
                                   "Port"sv,
                                   "IdentityFile"sv,
                                   "Include"sv,
                                   "IdentitiesOnly"sv,
                                   "ProxyJump"sv,
                                   "ProxyCommand"sv,
                                   "ForwardAgent"sv,
                                   "StrictHostKeyChecking"sv,
                                   "AddKeysToAgent"sv,
                                   "CertificateFile"sv,
                                   "ServerAliveInterval"sv,
                                   "UserKnownHostsFile"sv,
                                   "PreferredAuthentications"sv,
                                   "IdentityAgent"sv,
                                   "ControlMaster"sv,
                                   "ControlPath"sv,
                                   "ControlPersist"sv,
                                   "LogLevel"sv,
                                   "ConnectTimeout"sv,
                                   "BatchMode"sv,
                                   "Compression"sv,
                                   "PasswordAuthentication"sv,
                                   "PubkeyAuthentication"sv};
  static constexpr std::array kGit{"user"sv, "credential"sv, "url"sv,    "include"sv, "includeIf"sv,
                                   "http"sv, "core"sv,       "remote"sv, "branch"sv,  "alias"sv,
                                   "push"sv, "pull"sv,       "init"sv,   "gpg"sv,     "commit"sv,
                                   "safe"sv, "color"sv,      "filter"sv, "merge"sv,   "diff"sv};
  static constexpr std::array kAws{"default"sv, "profile"sv, "sso-session"sv, "services"sv, "plugins"sv, "preview"sv};
  if (format == "gcloud_store")
    return bytes.starts_with("SQLite format 3") && bytes.find("account_id") != std::string_view::npos;
  if (format == "ssh_config") return is_of_words(bytes, kSsh);
  if (format == "gitconfig") return is_of_sections(bytes, kGit);
  if (format == "aws_config" && is_of_sections(bytes, kAws)) return true;
  Found found;
  const Hints hints{.format = kContentFormat};
  parse(hints, bytes, state, scratch, found);
  scratch.wipe();
  return found.format == format || (format == "aws_config" && found.format == "aws_credentials") ||
         (format == "jwt" && found.format == "raw_token");
}

}  // namespace

void believe_kind(const role::Hints& said, const catalog::Catalog& catalog, Hints& out) {
  out.key_kind = said.key_kind.view();
  const catalog::Kind* const kind = catalog.kind(out.key_kind);
  out.key_class = kind != nullptr ? kind->key_class : static_cast<KeyClass>(said.key_class);
  out.lifetime = kind != nullptr ? kind->lifetime : static_cast<Lifetime>(said.lifetime);
  out.guessable = kind != nullptr ? kind->guessable : said.guessable != 0;
}

void believe(const role::Examine& asked, std::string_view bytes, const catalog::Catalog& catalog, ExaminerState& state,
             Arena& scratch, Belief& out) {
  const std::string_view claim = asked.hints.format.view();
  if (claim == kContentFormat) {  // gives the name of a format, and nothing of the file
    out.hints.format = kContentFormat;
    return;
  }
  if (claim == "hosts_file") {  // no place of keys, and every text of two columns looks like it
    out.hints.format = claim;
    out.bare = asked.place.view() != "/etc/hosts";
    return;
  }
  const catalog::File* const entry = catalog.match_file(asked.place.view());
  const bool is_place = entry != nullptr && !entry->format.empty();
  // A program may be told to read what lies at another's place; what is one secret as a whole stays one.
  const bool told = asked.named != 0 && (!is_place || entry->format != "opaque");
  if (is_place && (!told || entry->format == claim)) return hints_of(*entry, catalog, out);
  out.hints.format = claim;
  believe_kind(asked.hints, catalog, out.hints);
  out.hints.kinds = asked.hints.kinds.view();
  out.hints.other_kind = asked.hints.other_kind.view();
  const catalog::Kind* const other = catalog.kind(out.hints.other_kind);
  out.hints.other_class = other != nullptr ? other->key_class : static_cast<KeyClass>(asked.hints.other_class);
  out.hints.other_lifetime = other != nullptr ? other->lifetime : static_cast<Lifetime>(asked.hints.other_lifetime);
  out.bare = !told && !shows(claim, bytes, state, scratch);
}

}  // namespace keytrail::examine
