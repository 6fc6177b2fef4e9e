// SPDX-License-Identifier: Apache-2.0
// What a value of a configuration is: a token that shows its kind, a URL with a password in it, a PEM block, or what
// its name says.
#pragma once

#include <string>
#include <string_view>

#include "agent/examine/facts.h"

namespace keytrail::examine {

/// What the name of a setting says of its value.
enum class Meaning : std::uint8_t {
  kNone,
  kToken,
  kPassword,
  kIdentifier,
  kLogin,
  kHost,
  kHeader,
  kFile,
  kLoginAndSecret
};

/// "oauth_token", "apiKey", "aws_secret_access_key" → kToken; "db-password" → kPassword; "access_key_id" →
/// kIdentifier (public half of a pair); "user" → kLogin; "url" → kHost; "extraHeader" → kHeader; "token_file" →
/// kFile; "npmAuthIdent" → kLoginAndSecret ("login:secret", or that in base64); "password_command" → kNone.
[[nodiscard]] Meaning meaning_of(std::string_view name);

/// The kind that the place has for a field of this name, where it holds several: "refreshToken" → its refresh tokens'
/// kind, "accessToken" → its access tokens'. `granted`: an access token stands beside it, so that a refresh token,
/// client secret or id token of no such kind is of OAuth's. Empty when the name tells none.
[[nodiscard]] std::string_view kind_of_field(std::string_view name, bool granted, const Hints& hints);
/// "access_token", "accessToken"
[[nodiscard]] bool is_access_token(std::string_view name);
/// What two names of one key's parts have in common: "aws_secret_access_key", "aws_access_key_id" → "aws".
[[nodiscard]] std::string stem_of(std::string_view name);
/// The same of a key and of what says whose it is or where: "nexusPassword", "nexusUser"; "GH_CLIENT_SECRET",
/// "GH_CLIENT_ID".
[[nodiscard]] std::string owner_stem_of(std::string_view name);

/// Adds the key `secret` for `work.entry()`: by its shape where that shows its kind (a JWT, PEM, "ghp_…"), else of
/// the kind that its place holds. A reference ("${TOKEN}"), a path or nothing adds nothing, a dummy is added as one.
/// True when a key was added.
bool add_credential(std::string_view secret, bool password, Work& work);
/// Adds the key of a text that tells its kind by its shape alone; false when it tells none.
bool add_token_by_shape(std::string_view text, Work& work);
/// Of a login and its secret the one that is the key: a token may stand as the login, with a word or nothing where the
/// password would be ("ghp_…:x-oauth-basic"). Then `login` is emptied.
[[nodiscard]] std::string_view key_of_login(std::string_view& login, std::string_view secret, const Work& work);
/// Adds the password or token in "scheme://login:secret@host/", or in the query of a database URL (with its entry's
/// host and login). False when there is none.
bool add_url(std::string_view text, Work& work);
/// Adds the key of a grant that is one value, {"access_token": …, "refresh_token": …}: the refresh token, which
/// stays the same however often the other is refreshed. False when it is none.
bool add_grant(std::string_view text, Work& work);
/// Adds the secret of "login:secret", as it is or in base64.
bool add_login_and_secret(std::string_view text, Work& work);
/// Adds what an HTTP header "Authorization: Bearer …" or its value alone carries.
bool add_header(std::string_view text, Work& work);

}  // namespace keytrail::examine
