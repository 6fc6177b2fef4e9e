// SPDX-License-Identifier: Apache-2.0
// A file whose place says nothing: which format's it is, by structure or by a token's known beginning, and else whether
// it may be a secret at all. Finds no key itself: it is read again as what it was found to be.
#include <boost/json.hpp>

#include <algorithm>
#include <array>

#include "agent/examine/credential.h"
#include "agent/examine/document.h"
#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

namespace json = boost::json;
using namespace std::string_view_literals;
using Parser = role::Unread (*)(std::string_view bytes, Work& work);

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }
bool is_one_word(std::string_view text) { return text.find_first_of(" \t\r\n{[<") == std::string_view::npos; }

/// What a parser makes of it; nothing of that is kept, not even a number.
Found tried(Parser parse, std::string_view text, Work& work) {
  Found found;
  ExaminerState state{.key = work.state().key, .env = work.state().env, .formats = work.state().formats};
  const Hints none{};
  Work inner(state, work.scratch(), none, found);
  if (parse(text, inner) != role::Unread::kNone) found.keys.clear();
  work.scratch().wipe();
  return found;
}

/// Every entry is one of this format, and there is one.
bool is_whole(const Found& found) { return !found.keys.empty() && found.skipped == 0; }

/// A certificate alone is public: everybody reads those of the authorities. A dummy is no key.
bool is_secret(const KeyFact& fact) {
  return fact.key.key_class != KeyClass::kCertificate && fact.key.kind != "generic.dummy";
}

/// A key with a public id of its own; a fingerprint or number is made here.
bool has_public_id(const KeyFact& fact) {
  const std::string_view id = fact.key.id;
  return is_secret(fact) && !fact.untold && !id.empty() && !id.starts_with("fp:") && !has(id, "#");
}

/// A key that shows what it is. The name of a field alone tells nothing: in a program `client_secret` is a variable.
bool has_told(const Found& found) {
  return !found.keys.empty() && (found.shown || std::ranges::any_of(found.keys, has_public_id));
}

std::string_view form_of_json(std::string_view text, Work& work) {
  TreeMemory memory(work.scratch(), tree_bytes(text.size()));
  const std::optional<json::value> root = read_json(text, memory);
  const json::object* object = root ? root->if_object() : nullptr;
  if (object == nullptr) return {};
  if (object_of(*object, "auths") != nullptr) return "docker_config";
  if (array_of(*object, "users") != nullptr && array_of(*object, "clusters") != nullptr) return "kubeconfig";
  const std::string_view type = text_of(*object, "type");
  for (const std::string_view known : {"service_account", "authorized_user", "impersonated_service_account",
                                       "external_account_authorized_user", "gdch_service_account"}) {
    if (type == known) return "google_credentials";
  }
  return {};
}

/// host:port:database:user:password in each line: nothing else has a port in that place.
bool is_pgpass(std::string_view text) {
  std::size_t lines = 0;
  bool sound = true;
  for_each_line(text, [&](std::string_view line) {
    if (trimmed(line).empty() || line.front() == '#') return;
    ++lines;
    (void)cut(line, ':');
    const std::string_view port = cut(line, ':');
    sound = sound && std::ranges::count(line, ':') >= 2 && !port.empty() &&
            (port == "*" || std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; }));
  });
  return sound && lines > 0;
}

/// A program or a database may hold the marks of a key alone: in bytes that are no text, it must be there whole.
bool may_be(Parser parse, std::string_view text, Work& work) {
  return !has(text, "\0"sv) || std::ranges::any_of(tried(parse, text, work).keys, is_secret);
}

std::string_view form_of_marks(std::string_view text, Work& work) {
  if (has(text, "-----BEGIN OPENSSH PRIVATE KEY-----") && may_be(ssh_private_key, text, work)) return "ssh_private_key";
  if (has(text, "-----BEGIN ") && has(text, "PRIVATE KEY-----") && may_be(pem, text, work)) return "pem";
  if (has(text, "-----BEGIN PGP PRIVATE KEY BLOCK-----")) return "gpg_private_key";
  if ((text.starts_with('(') || text.starts_with("Key: (")) && has(text.substr(0, 64), "private-key"))
    return "gpg_private_key";
  if (text.starts_with("AGE-SECRET-KEY-1") || has(text, "\nAGE-SECRET-KEY-1")) return "age_identity";
  const bool section = text.starts_with('[') || has(text, "\n[");
  if (section && (has(text, "aws_secret_access_key") || has(text, "aws_access_key_id"))) return "aws_credentials";
  if (has(text, "apiVersion:") && has(text, "\nusers:") && (text.starts_with("clusters:") || has(text, "\nclusters:")))
    return "kubeconfig";
  return {};
}

/// The source of a program, by how one of its first lines begins: a key that stands in one is built in code.
bool is_program(std::string_view text) {
  static constexpr std::array kBegins{"#!"sv,       "#include"sv, "#define"sv,      "import "sv,       "const "sv,
                                      "var "sv,     "def "sv,     "function "sv,    "package "sv,      "<?php"sv,
                                      "require("sv, "export {"sv, "'use strict'"sv, "\"use strict\""sv};
  constexpr std::size_t kLines = 64;
  std::size_t lines = 0;
  bool found = false;
  for_each_line(text, [&](std::string_view line) {
    if (found || ++lines > kLines) return;
    found = std::ranges::any_of(kBegins, [&](std::string_view begin) { return line.starts_with(begin); });
  });
  return found;
}

/// The same as byte code (PEP 552: Python's number, a line end that a text's translation would break, few flags).
bool is_byte_code(std::string_view bytes) {
  constexpr std::size_t kHead = 16;
  return bytes.size() >= kHead && bytes.substr(2, 2) == "\r\n" && static_cast<unsigned char>(bytes[4]) <= 3 &&
         bytes.substr(5, 3) == "\0\0\0"sv;
}

/// What a shell runs is read as variables are: there people keep keys.
bool is_shell_script(std::string_view text) {
  const std::string_view first = text.substr(0, text.find_first_of("\r\n"));
  return first.starts_with("#!") && (first.ends_with("sh") || has(first, "sh "));
}

/// A format of its own, or a configuration with a key that shows its kind; empty for neither. `named` says whether it
/// has values that are keys by their names.
std::string_view form_of(std::string_view text, Work& work, bool& named) {
  // There ID_TOKEN is a word of the program's, and a key is built in code: no file that others keep their keys in.
  if (is_program(text) && !is_shell_script(text)) return {};
  if (text.front() == '{') {
    if (const std::string_view form = form_of_json(text, work); !form.empty()) return form;
  } else if (const std::string_view form = form_of_marks(text, work); !form.empty()) {
    return form;
  }
  if (has(text, "\0"sv)) return {};
  const bool one_word = is_one_word(text);
  if (one_word && has_told(tried(raw_token, text, work))) return "raw_token";
  struct Whole {
    std::string_view begin, name;
    Parser parse;
  };
  for (const Whole& one : {Whole{"machine", "netrc", netrc}, Whole{"default", "netrc", netrc},
                           Whole{"http", "git_credentials", git_credentials}}) {
    if (text.starts_with(one.begin) && is_whole(tried(one.parse, text, work))) return one.name;
  }
  if (has(text, ":_auth") || has(text, ":_password")) {
    if (has_told(tried(npmrc, text, work)) || has(text, "\n//") || text.starts_with("//")) return "npmrc";
  }
  if (is_pgpass(text)) return "pgpass";
  for (const auto& [name, parse] :
       {std::pair<std::string_view, Parser>{"dotenv", dotenv}, {"configuration", configuration}}) {
    if (one_word && name != "dotenv") break;
    const Found found = tried(parse, text, work);
    if (has_told(found)) return name;
    named = named || std::ranges::any_of(found.keys, is_secret);
  }
  return {};
}

/// Begins like a file that everybody's tools write and that is no key: images, archives, programs, databases, public
/// key rings.
bool is_other(std::string_view bytes) {
  static constexpr std::array kBegins{"SQLite format 3"sv,
                                      "\x7f"
                                      "ELF"sv,
                                      "\x1f\x8b"sv,
                                      "\x89PNG"sv,
                                      "PK\x03\x04"sv,
                                      "GVariant"sv,
                                      "\xfd"
                                      "7zXZ"sv,
                                      "\x28\xb5\x2f\xfd"sv,
                                      "\x01gpg"sv,
                                      "\xff\xd8\xff"sv};
  return std::ranges::any_of(kBegins, [&](std::string_view begin) { return bytes.starts_with(begin); }) ||
         bytes.substr(std::min<std::size_t>(8, bytes.size())).starts_with("KBXf");
}

/// known_hosts, authorized_keys, *.pub: what stands there is public.
bool is_public_line(std::string_view line) {
  return has(line, " AAAA") && (has(line, "ssh-") || has(line, "ecdsa-sha2-") || has(line, "sk-"));
}

bool is_random_word(std::string_view word) {
  constexpr std::size_t kMixed = 20;
  constexpr std::size_t kHex = 32;
  std::size_t digits = 0, upper = 0, lower = 0, hex = 0;
  for (const char c : word) {
    const bool digit = c >= '0' && c <= '9';
    digits += digit ? 1U : 0U;
    upper += c >= 'A' && c <= 'Z' ? 1U : 0U;
    lower += c >= 'a' && c <= 'z' ? 1U : 0U;
    hex += digit || (c >= 'a' && c <= 'f') ? 1U : 0U;
  }
  return (word.size() >= kMixed && digits > 0 && upper > 0 && lower > 0) ||
         (word.size() >= kHex && hex == word.size() && digits > 0 && lower > 0);
}

bool has_random_word(std::string_view text) {
  bool found = false;
  bool in_block = false;  // certificates between comments; a private key was seen before
  for_each_line(text, [&](std::string_view line) {
    if (line.starts_with("-----")) in_block = line.starts_with("-----BEGIN ");
    if (found || in_block || is_public_line(line)) return;
    constexpr std::string_view kOfWord = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_=";
    while (!line.empty() && !found) {
      const std::size_t begin = std::min(line.find_first_of(kOfWord), line.size());
      line.remove_prefix(begin);
      const std::size_t length = std::min(line.find_first_not_of(kOfWord), line.size());
      found = is_random_word(line.substr(0, length));
      line.remove_prefix(length);
    }
  });
  return found;
}

/// May it be a secret of no known form: one word, random words, or bytes that are no text?
bool is_secret_shaped(std::string_view bytes, std::string_view text) {
  constexpr std::size_t kShortest = 8;
  if (is_other(bytes)) return false;
  // A random key has few zeros, and so has what is wrapped; the records of a database have many.
  if (has(bytes, "\0"sv)) return static_cast<std::size_t>(std::ranges::count(bytes, '\0')) * 4 < bytes.size();
  if (!is_name(text.substr(0, text.find_first_of("\t\r\n")), text.size())) return true;
  if (is_one_word(text)) {
    const bool place = text.starts_with('/') || has(text, "://") || !host_of_name(text).empty();
    return text.size() >= kShortest && !place && text.find_first_not_of("0123456789.:") != std::string_view::npos;
  }
  if (text.starts_with("-----BEGIN ")) return false;  // a private key was seen before
  return has_random_word(text);
}

}  // namespace

role::Unread content(std::string_view bytes, Work& work) {
  const std::string_view text = trimmed(bytes);
  if (text.empty() || is_byte_code(bytes)) return role::Unread::kNone;
  bool named = false;
  work.found().format = form_of(text, work, named);
  if (work.found().format.empty() && !is_program(text) && (named || is_secret_shaped(bytes, text)))
    work.found().format = kSecretShaped;
  return role::Unread::kNone;
}

}  // namespace keytrail::examine::format
