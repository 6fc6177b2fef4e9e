// SPDX-License-Identifier: Apache-2.0
// The table of formats: one parser per file of this folder. Pure functions over bytes, for the examiner and for
// fuzzing.
#pragma once

#include <string_view>
#include <vector>

#include "agent/examine/facts.h"

namespace keytrail::examine {

/// Parses `bytes` (≤ role::kMaxFileBytes) as `hints.format` and puts what it found into `found`. Hostile input gives
/// `unread` or a count of skipped entries; it never throws. An unknown format name is kUnknownFormat.
void parse(const Hints& hints, std::string_view bytes, ExaminerState& state, Arena& scratch, Found& found);

/// Names of all formats of the table.
[[nodiscard]] std::vector<std::string_view> format_names();

/// A variable that a file says holds a key, and that key's kind (its class, whether it can be guessed) where its value
/// does not tell.
struct NamedVariable {
  std::string_view name, kind;
  KeyClass key_class = KeyClass::kAccessKey;
  Lifetime lifetime = Lifetime::kUnknown;
  bool guessable = false;
};

/// The same for an initial environment (NAME=VALUE, each followed by a NUL).
void parse_environment(std::string_view bytes, ExaminerState& state, Arena& scratch, Found& found,
                       const NamedVariable& named = {});

/// The same for the arguments of `program` (its name, 15 characters at most), each followed by a NUL.
void parse_arguments(std::string_view program, std::string_view bytes, const ExaminerState& state, Arena& scratch,
                     Found& found);

/// The rule of a variable, or nullptr. Exact names and prefixes win over suffixes, as on the kernel side.
const catalog::EnvName* find_variable(std::span<const catalog::EnvName> names, std::string_view name);

/// The parsers. Each gets the whole file and reports through `work`; kUnknownFormat when the file is not what its place
/// promises.
namespace format {
role::Unread aws_credentials(std::string_view bytes, Work& work);
role::Unread aws_config(std::string_view bytes, Work& work);
role::Unread raw_token(std::string_view bytes, Work& work);
role::Unread jwt(std::string_view bytes, Work& work);
role::Unread pem(std::string_view bytes, Work& work);
role::Unread ssh_private_key(std::string_view bytes, Work& work);
role::Unread opaque(std::string_view bytes, Work& work);
role::Unread configuration(std::string_view bytes, Work& work);
role::Unread gitconfig(std::string_view bytes, Work& work);
role::Unread ssh_config(std::string_view bytes, Work& work);
role::Unread curlrc(std::string_view bytes, Work& work);
role::Unread kubeconfig(std::string_view bytes, Work& work);
role::Unread google_credentials(std::string_view bytes, Work& work);
role::Unread gcloud_store(std::string_view bytes, Work& work);
role::Unread git_credentials(std::string_view bytes, Work& work);
role::Unread netrc(std::string_view bytes, Work& work);
role::Unread docker_config(std::string_view bytes, Work& work);
role::Unread dotenv(std::string_view bytes, Work& work);
role::Unread npmrc(std::string_view bytes, Work& work);
role::Unread pgpass(std::string_view bytes, Work& work);
role::Unread age_identity(std::string_view bytes, Work& work);
role::Unread gpg_private_key(std::string_view bytes, Work& work);
role::Unread keyfile(std::string_view bytes, Work& work);
role::Unread hosts_file(std::string_view bytes, Work& work);
role::Unread content(std::string_view bytes, Work& work);

/// Adds the key of a JSON Web Token (RFC 7519); false when `token` is none.
bool add_jwt(std::string_view token, Work& work);
/// Adds an OpenSSH private key from the decoded body of its PEM block (openssh/PROTOCOL.key); false when malformed.
bool add_openssh(std::string_view body, std::string_view block, Work& work);
/// Adds AWS keys and tokens recognised by their shape anywhere in `text`; false when there is none.
bool add_by_shape(std::string_view text, Work& work);
}  // namespace format

}  // namespace keytrail::examine
