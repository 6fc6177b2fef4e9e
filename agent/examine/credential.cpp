// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/credential.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "agent/examine/document.h"
#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine {
namespace {

constexpr std::size_t kMaxName = 96;
constexpr std::size_t kMinBareKey = 20;

using Words = std::span<const std::string_view>;

/// "awsSecretAccess-key" → "aws secret access key"; empty when too long for a name.
std::string words_of(std::string_view name) {
  std::string out;
  if (name.size() > kMaxName) return out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    if (std::isalnum(c) == 0) {
      if (!out.empty() && out.back() != ' ') out += ' ';
      continue;
    }
    const bool upper = std::isupper(c) != 0;
    if (upper && i > 0 && std::islower(static_cast<unsigned char>(name[i - 1])) != 0) out += ' ';
    out += static_cast<char>(std::tolower(c));
  }
  while (out.ends_with(' '))
    out.pop_back();
  return out;
}

bool ends_with_word(std::string_view words, std::string_view word) {
  return words.ends_with(word) && (words.size() == word.size() || words[words.size() - word.size() - 1] == ' ');
}

/// Calls `each` for each of the words, up to the first for which it is true; whether there was one.
template <typename Each>
bool any_word(std::string_view words, Each&& each) {
  while (!words.empty()) {
    if (each(cut(words, ' '))) return true;
  }
  return false;
}

/// The words of a name but for these.
std::string without_words(std::string_view name, Words parts) {
  std::string out;
  (void)any_word(words_of(name), [&](std::string_view word) {
    if (std::ranges::find(parts, word) == parts.end()) out.append(word).append(" ");
    return false;
  });
  return out;
}

bool ends_with_any(std::string_view words, Words list) {
  return std::ranges::any_of(list, [&](std::string_view word) { return ends_with_word(words, word); });
}

constexpr std::array<std::string_view, 16> kPasswords{
    "password",   "passwd",   "passphrase", "pass",      "pwd",     "psk",       "bindpw",   "requirepass",
    "masterauth", "userpass", "rootpw",     "password2", "keypass", "storepass", "mysqlpwd", "passwort"};
constexpr std::array<std::string_view, 30> kTokens{"token",
                                                   "tokens",
                                                   "secret",
                                                   "secrets",
                                                   "api key",
                                                   "apikey",
                                                   "secret key",
                                                   "secretkey",
                                                   "access key secret",
                                                   "private key",
                                                   "privatekey",
                                                   "auth token",
                                                   "authtoken",
                                                   "auth key",
                                                   "license key",
                                                   "account key",
                                                   "shared key",
                                                   "signing key",
                                                   "application key",
                                                   "app key",
                                                   "fernet key",
                                                   "service key",
                                                   "master key",
                                                   "session key",
                                                   "encryption key",
                                                   "connection string",
                                                   "access key",
                                                   "accesskey",
                                                   "jwt",
                                                   "pat"};
constexpr std::array<std::string_view, 5> kIdentifiers{"access key id", "accesskeyid", "key id", "access id",
                                                       "secret id"};
constexpr std::array<std::string_view, 12> kLogins{"user",   "username",  "login",    "user name", "email",   "account",
                                                   "userid", "client id", "clientid", "app id",    "bind dn", "binddn"};
constexpr std::array<std::string_view, 14> kHosts{"host",       "hostname",  "server",   "url",      "uri",
                                                  "endpoint",   "host base", "registry", "base url", "machine",
                                                  "repository", "address",   "site",     "index url"};

constexpr std::array<std::string_view, 26> kFiles{
    "key file",         "keyfile",          "key path",    "token file",  "tokenfile",        "token path",
    "password file",    "passwordfile",     "passfile",    "pass file",   "credentials file", "credential file",
    "credentials path", "credentials",      "secret file", "secret path", "identity file",    "netrc file",
    "account file",     "service key file", "client cert", "client key",  "ssl key",          "sslkey",
    "tls key",          "certificate path"};

/// A file is named, not a key: a path never has the mix of a random text.
bool is_path(std::string_view value) {
  if (!value.starts_with('/') && !value.starts_with("~/") && !value.starts_with("./") && !value.starts_with("../"))
    return false;
  const auto has = [&](auto test) { return std::ranges::any_of(value, [&](unsigned char c) { return test(c) != 0; }); };
  const bool random = value.size() >= 32 && has([](int c) { return std::isupper(c); }) &&
                      has([](int c) { return std::isdigit(c); }) &&
                      value.find_first_of("._- ") == std::string_view::npos;
  return !random;
}

bool is_word_of_choice(std::string_view value) {
  static constexpr std::array<std::string_view, 14> kChoices{
      "true", "false", "yes", "no", "none", "null", "on", "off", "auto", "prompt", "always", "ask", "default", "~"};
  return std::ranges::any_of(kChoices, [&](std::string_view choice) { return same_word(value, choice); });
}

/// The kind of password that a service's URL carries; empty for others.
std::string_view password_kind_of(std::string_view scheme) {
  static constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
      {"postgres", "postgres.password"},   {"mysql", "mysql.password"},
      {"mariadb", "mysql.password"},       {"mongodb", "mongodb.password"},
      {"redis", "redis.password"},         {"amqp", "rabbitmq.password"},
      {"mssql", "mssql.password"},         {"sqlserver", "mssql.password"},
      {"oracle", "oracle.password"},       {"clickhouse", "clickhouse.password"},
      {"cassandra", "cassandra.password"}, {"neo4j", "neo4j.password"},
      {"bolt", "neo4j.password"},          {"couchdb", "couchdb.password"}};
  if (scheme.starts_with("jdbc:")) scheme.remove_prefix(5);
  for (const auto& [name, kind] : kKinds) {
    if (scheme.starts_with(name)) return kind;
  }
  return {};
}

bool add_password(std::string_view kind, std::string_view secret, Work& work) {
  if (secret.empty() || work.is_no_key(secret)) return false;
  if (add_token_by_shape(secret, work)) return true;
  if (!kind.empty()) work.show();
  work.add(kind.empty() ? work.usual_fact(true) : work.fact(kind, KeyClass::kPassword, Lifetime::kLongLived), secret);
  return true;
}

/// Schemes of an Authorization header behind which the key itself stands, as it is.
bool is_token_scheme(std::string_view scheme) {
  static constexpr std::array<std::string_view, 9> kSchemes{"bearer", "token",    "apikey", "api-key", "ssws",
                                                            "splunk", "geniekey", "bot",    "oauth"};
  return std::ranges::any_of(kSchemes, [&](std::string_view one) { return same_word(scheme, one); });
}

std::string_view query_value(std::string_view rest, std::string_view wanted) {
  std::string_view query = rest;
  (void)cut(query, '?');
  while (!query.empty()) {
    std::string_view value = cut(query, '&');
    if (cut(value, '=') == wanted) return value;
  }
  return {};
}

}  // namespace

bool is_access_token(std::string_view name) { return ends_with_word(words_of(name), "access token"); }

std::string_view kind_of_field(std::string_view name, bool granted, const Hints& hints) {
  struct Field {
    std::string_view words;  ///< the name's end
    std::string_view kind;   ///< a part of its kind's id
    std::string_view usual;  ///< its kind where the place has none
    std::string_view also;   ///< another such part
    bool always = false;     ///< never of the place's usual kind, whatever stands beside it
    [[nodiscard]] bool is(std::string_view id) const {
      return id.find(kind) != id.npos || (!also.empty() && id.find(also) != id.npos);
    }
  };
  static constexpr std::array<Field, 3> kFields{
      {{"refresh token", "refresh_token", "oauth.refresh_token", "authorized_user", true},
       {"client secret", "client", "oauth.client_secret", {}},
       {"id token", "id_token", "oidc.id_token", {}}}};
  const auto is_other = [](std::string_view kind) {
    return std::ranges::any_of(kFields, [&](const Field& field) { return field.is(kind); });
  };
  const std::string words = words_of(name);
  if (ends_with_word(words, "gpg passphrase")) return "gpg.passphrase";
  const bool encrypts = ends_with_word(words, "encryption key") || ends_with_word(words, "fernet key");
  if (encrypts && hints.key_class != KeyClass::kEncryptionKey) return "generic.encryption_key";
  const bool access = ends_with_word(words, "access token");
  const auto field = std::ranges::find_if(kFields, [&](const Field& one) { return ends_with_word(words, one.words); });
  if (!access && field == kFields.end()) return {};
  if (access && hints.kinds.find(' ') == std::string_view::npos) return {};
  std::string_view found;
  (void)any_word(hints.kinds, [&](std::string_view kind) {
    if (access ? is_other(kind) : !field->is(kind)) return false;
    found = kind;
    return true;
  });
  if (!found.empty() || access || !(granted || field->always)) return found;
  // The place's usual kind may be just this.
  return field->is(hints.key_kind) ? hints.key_kind : field->usual;
}

std::string stem_of(std::string_view name) {
  static constexpr std::array<std::string_view, 12> kParts{
      "access", "key", "id", "secret", "token", "api", "app", "application", "sid", "auth", "secretkey", "accesskey"};
  return without_words(name, kParts);
}

std::string owner_stem_of(std::string_view name) {
  static constexpr std::array<std::string_view, 28> kParts{
      "access", "key",  "id",       "secret", "token",    "api",    "app",      "sid",      "auth",   "client",
      "user",   "name", "login",    "email",  "username", "userid", "clientid", "password", "passwd", "pass",
      "pwd",    "host", "hostname", "server", "url",      "uri",    "endpoint", "address"};
  return without_words(name, kParts);
}

Meaning meaning_of(std::string_view name) {
  const std::string words = words_of(name);
  if (words.empty()) return Meaning::kNone;
  if (ends_with_any(words, kIdentifiers)) return Meaning::kIdentifier;
  if (ends_with_any(words, kPasswords) || words.ends_with("password") || words.ends_with("passwd") ||
      words.ends_with("passphrase"))
    return Meaning::kPassword;
  if (ends_with_any(words, kTokens) || words == "key" || words.ends_with("token") || words.ends_with("apikey") ||
      words.ends_with("secretkey"))
    return Meaning::kToken;
  if (ends_with_word(words, "auth ident")) return Meaning::kLoginAndSecret;
  if (words.ends_with("header") || ends_with_word(words, "authorization") || ends_with_word(words, "auth"))
    return Meaning::kHeader;
  if (ends_with_any(words, kFiles)) return Meaning::kFile;
  if (ends_with_any(words, kLogins)) return Meaning::kLogin;
  return ends_with_any(words, kHosts) ? Meaning::kHost : Meaning::kNone;
}

bool add_token_by_shape(std::string_view text, Work& work) {
  if (text.starts_with("eyJ")) return format::add_jwt(text, work);
  const catalog::ArgFormat* format = catalog::format_of_text(work.state().formats, text);
  if (format == nullptr || format->is_public || format->kind.empty() || format->weak ||
      text.find_first_of(" \t\"'<>") != std::string_view::npos)
    return false;
  work.add(work.fact(format->kind, KeyClass::kAccessKey, Lifetime::kUnknown), text);
  work.show();
  return true;
}

bool add_credential(std::string_view secret, bool password, Work& work) {
  secret = trimmed(secret);
  if (secret.empty() || secret.find('\0') != std::string_view::npos) return false;
  if (work.is_no_key(secret, password ? std::string_view() : work.hints().key_kind)) return false;
  if (add_token_by_shape(secret, work)) return true;
  const std::size_t before = work.found().keys.size();
  if (secret.starts_with("-----BEGIN "))
    return format::pem(secret, work) == role::Unread::kNone && work.found().keys.size() > before;
  if (is_word_of_choice(secret) ||
      (!password && (is_path(secret) || secret.find_first_of(" \t") != std::string_view::npos)))
    return false;
  if (!password && secret.find("://") != std::string_view::npos) return add_url(secret, work);
  work.add(work.usual_fact(password), secret);
  return work.found().keys.size() > before;
}

std::string_view key_of_login(std::string_view& login, std::string_view secret, const Work& work) {
  const std::span<const catalog::ArgFormat> formats = work.state().formats;
  const bool shown = is_secret_by_shape(login, formats) && !is_secret_by_shape(secret, formats);
  return shown || secret == "x-oauth-basic" ? std::exchange(login, {}) : secret;
}

bool add_url(std::string_view text, Work& work) {
  const std::optional<Url> url = split_url(trimmed(text));
  if (!url) return false;
  const std::string_view kind = password_kind_of(url->scheme);
  const Entry outer = work.entry();
  Entry entry = outer;
  entry.host = url->host;
  bool added = false;
  if (std::string_view path = url->rest; path.starts_with("/t/") && work.hints().key_kind == "conda.token") {
    path.remove_prefix(3);  // https://conda.example/t/TOKEN/channel
    work.at(entry);
    added = add_credential(cut(path, '/'), false, work);
  } else if (!url->secret.empty()) {
    entry.login = percent_decoded(url->login, work.scratch());
    const std::string_view secret = key_of_login(entry.login, percent_decoded(url->secret, work.scratch()), work);
    work.at(entry);
    added = add_password(kind, secret, work);
  } else if (!url->login.empty()) {
    entry.login = {};
    work.at(entry);
    added = add_token_by_shape(percent_decoded(url->login, work.scratch()), work);
  }
  if (const std::string_view secret = query_value(url->rest, "password"); !added && !secret.empty()) {
    entry.login = percent_decoded(query_value(url->rest, "user"), work.scratch());
    work.at(entry);
    added = add_password(kind, percent_decoded(secret, work.scratch()), work);
  }
  work.at(outer);
  return added;
}

bool add_grant(std::string_view text, Work& work) {
  if (!text.starts_with('{')) return false;
  TreeMemory memory(work.scratch(), tree_bytes(text.size()));
  const std::optional<boost::json::value> root = read_json(text, memory);
  const boost::json::object* grant = root ? root->if_object() : nullptr;
  if (grant == nullptr) return false;
  const std::string_view refresh = text_of(*grant, "refresh_token");
  return add_credential(refresh.empty() ? text_of(*grant, "access_token") : refresh, false, work);
}

bool add_header(std::string_view text, Work& work) {
  text = trimmed(text);
  if (const std::size_t colon = text.find(':');
      colon != std::string_view::npos && text.substr(0, colon).find(' ') == std::string_view::npos) {
    const std::string_view name = text.substr(0, colon);
    const Meaning meaning = meaning_of(name);
    if (meaning != Meaning::kHeader && meaning != Meaning::kToken) return false;
    text = trimmed(text.substr(colon + 1));
  }
  const std::size_t space = text.find_first_of(" \t");
  if (space == std::string_view::npos) return text.size() >= kMinBareKey && add_credential(text, false, work);
  const std::string_view scheme = text.substr(0, space);
  const std::string_view value = trimmed(text.substr(space + 1));
  if (!same_word(scheme, "basic")) return is_token_scheme(scheme) && add_credential(value, false, work);
  return add_login_and_secret(value, work);
}

bool add_login_and_secret(std::string_view text, Work& work) {
  std::string_view plain = text;
  if (text.find(':') == std::string_view::npos && !decode_base64(text, false, work.scratch(), plain)) return false;
  const Entry outer = work.entry();
  Entry entry = outer;
  entry.login = cut(plain, ':');
  plain = key_of_login(entry.login, plain, work);
  work.at(entry);
  const bool added = add_credential(plain, true, work);
  work.at(outer);
  return added;
}

}  // namespace keytrail::examine
