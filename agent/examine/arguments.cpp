// SPDX-License-Identifier: Apache-2.0
// The arguments that a program was started with: keys in headers, logins, addresses and forms, and the host they are
// for. Which words those are, the catalog says for each program (arguments.yaml).
#include <algorithm>
#include <cctype>
#include <exception>
#include <string>

#include "agent/examine/command_line.h"
#include "agent/examine/credential.h"
#include "agent/examine/formats.h"
#include "agent/examine/request_parts.h"
#include "agent/examine/text.h"

namespace keytrail::examine {
namespace {

using catalog::ArgUse;

constexpr std::size_t kMostHosts = 4;  ///< of one command; of more, its keys are for none in particular

/// "host", "host:443", "[::1]:443": nothing else may be told as one.
bool is_host_and_port(std::string_view text) {
  const bool brackets = text.starts_with('[');
  const std::size_t end = brackets ? text.find(']') : std::min(text.find(':'), text.size());
  if (end == std::string_view::npos) return false;
  const std::string_view host = text.substr(brackets ? 1 : 0, brackets ? end - 1 : end);
  const std::string_view port = text.substr(brackets ? end + 1 : end);
  const auto plain = [&](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || (brackets ? c == ':' : c == '-' || c == '_');
  };
  return !host.empty() && std::ranges::all_of(host, plain) &&
         (port.empty() || (port.size() > 1 && port.front() == ':' &&
                           port.find_first_not_of("0123456789", 1) == std::string_view::npos));
}

/// The address in a word, with its scheme; empty where it is none. HTTP clients add the scheme by themselves: then it
/// must look like a host, not like a name or "Name:value".
std::string_view address_in(const ArgWord& word, Arena& scratch) {
  constexpr std::string_view kUsual = "http://";
  const std::string_view text = word.value;
  if (text.find_first_of(" \t\r\n\"'<>") != std::string_view::npos) return {};
  if (split_url(text)) return text;
  if (!word.rules->password.starts_with("http.")) return {};
  const bool takes_items = std::ranges::any_of(
      word.rules->rules, [](const catalog::ArgRule& rule) { return rule.flag.empty() && rule.use == ArgUse::kHeader; });
  const std::string_view authority = text.substr(0, text.find_first_of("/?#"));
  const std::size_t at = authority.rfind('@');
  const std::string_view host = at == std::string_view::npos ? authority : authority.substr(at + 1);
  const bool plain = host.find_first_of(".:") == std::string_view::npos && host != "localhost";
  if (!is_host_and_port(host) || (plain && authority.size() == text.size()) || (takes_items && authority != host))
    return {};
  const std::span<char> out = scratch.take(kUsual.size() + text.size());
  if (out.empty()) return {};
  std::ranges::copy(text, std::ranges::copy(kUsual, out.begin()).out);
  return {out.data(), out.size()};
}

class Arguments {
 public:
  Arguments(const ArgLine& line, const ExaminerState& state, Arena& scratch, Found& found)
      : line_(line), state_(state), scratch_(scratch), found_(found) {
    find_hosts();
  }

  void add_all() {
    for (const ArgWord& word : line_.words) {
      if (word.use != ArgUse::kForm) add_named(word);
    }
    tell_addresses();
    body_is_payload_ = std::ranges::any_of(found_.keys, [&](const KeyFact& fact) {
      return fact.key.kind != "generic.dummy" && std::ranges::find(hosts_, fact.host) != hosts_.end();
    });
    for (const ArgWord& word : line_.words) {
      if (word.use == ArgUse::kForm) add_named(word);
    }
  }

 private:
  void add_named(const ArgWord& word) {
    const std::size_t before = found_.keys.size();
    add(word);
    if (found_.keys.size() == before) {
      // Whose it is, or what for, nothing says: its kind must.
      const Hints hints = hints_of(word);
      Work work(state_, scratch_, hints, found_);
      add_known(word.value, work);
    }
    for (std::size_t i = before; i < found_.keys.size(); ++i)
      found_.keys[i].variable =
          word.flag.empty() ? "argument " + std::to_string(word.position) : std::string(word.flag);
  }

  [[nodiscard]] std::string_view first(ArgUse use) const {
    const auto word = std::ranges::find(line_.words, use, &ArgWord::use);
    return word == line_.words.end() ? std::string_view() : word->value;
  }
  [[nodiscard]] bool has(ArgUse use) const {
    return std::ranges::find(line_.words, use, &ArgWord::use) != line_.words.end();
  }

  static void note_host(std::string_view host, std::vector<std::string>& hosts) {
    if (is_host_and_port(host) && std::ranges::find(hosts, host) == hosts.end()) hosts.emplace_back(host);
  }

  void find_hosts() {
    for (const ArgWord& word : line_.words) {
      if (word.use == ArgUse::kUrl || word.use == ArgUse::kProxy) {
        if (const auto url = split_url(address_in(word, scratch_)))
          note_host(url->host, word.use == ArgUse::kUrl ? hosts_ : proxies_);
      } else if (word.use == ArgUse::kHost) {
        const std::string_view named = host_of_name(word.value);
        std::string host(named.empty() ? word.value : named);
        if (const std::string_view port = first(ArgUse::kPort); !port.empty() && !host.contains(':'))
          host.append(":").append(port);
        note_host(host, hosts_);
      }
    }
    if (hosts_.size() > kMostHosts) hosts_.clear();
  }

  /// --endpoint-url: what AWS_ENDPOINT_URL would say.
  void tell_addresses() {
    for (const ArgWord& word : line_.words) {
      if (word.rules->address.empty() || (word.use != ArgUse::kUrl && word.use != ArgUse::kHost)) continue;
      const std::optional<Url> url = split_url(word.value);
      const std::string_view host = url ? url->host : word.value;
      const Hints hints = hints_of(word);
      if (is_host_and_port(host)) Work(state_, scratch_, hints, found_).add_address(word.rules->address, host);
    }
  }

  static Hints hints_of(const ArgWord& word) {
    return {.format = "arguments",
            .key_kind = word.rules->token,
            .other_kind = word.rules->password,
            .other_class = KeyClass::kPassword};
  }

  /// Calls `each(work)` for every host that the command names, once where it names none.
  template <typename Each>
  void for_each_host(const ArgWord& word, const Entry& entry, Each&& each) {
    for_each_of(hosts_, word, entry, each);
  }
  template <typename Each>
  void for_each_of(const std::vector<std::string>& hosts, const ArgWord& word, Entry entry, Each&& each) {
    const Hints hints = hints_of(word);
    Work work(state_, scratch_, hints, found_);
    for (std::size_t i = 0; i < std::max<std::size_t>(hosts.size(), 1); ++i) {
      entry.host = hosts.empty() ? std::string_view() : std::string_view(hosts[i]);
      work.at(entry);
      each(work);
    }
  }

  void add(const ArgWord& word) {
    switch (word.use) {
      case ArgUse::kUrl:
      case ArgUse::kProxy:
        return add_address(word);
      case ArgUse::kHeader:
        return add_header_word(word);
      case ArgUse::kLogin:
        return has(ArgUse::kSigned) ? add_signing_login(word) : add_login(word, hosts_);
      case ArgUse::kProxyLogin:  // for a proxy that a variable names: left out, it is no key of the host's
        return proxies_.empty() ? void() : add_login(word, proxies_);
      case ArgUse::kCookie:
        return for_each_host(word, {}, [&](Work& work) { add_cookies(word.value, work); });
      case ArgUse::kToken:
        return add_token(word);
      case ArgUse::kSetting:
        return add_setting(word);
      case ArgUse::kStored:
        return add_stored(word, {});
      case ArgUse::kPassword:
        return for_each_host(word, {.login = first(ArgUse::kUser)},
                             [&](Work& work) { (void)add_credential(word.value, true, work); });
      case ArgUse::kForm:
        return word.flag.empty() ? add_connection_text(word) : add_form(word, '&');
      case ArgUse::kOther:
      case ArgUse::kUser:
      case ArgUse::kKeyId:
      case ArgUse::kHost:
      case ArgUse::kPort:
      case ArgUse::kSigned:
      case ArgUse::kRest:
      case ArgUse::kAuthType:
        return;
    }
  }

  /// "token=VALUE" as well as VALUE (vault login); another setting is none.
  static std::string_view token_of(const ArgWord& word) {
    if (!word.flag.empty() || word.value.find('=') == std::string_view::npos) return word.value;
    return word.value.starts_with("token=") ? word.value.substr(word.value.find('=') + 1) : std::string_view();
  }

  void add_address(const ArgWord& word) {
    const std::string_view address = address_in(word, scratch_);
    const std::optional<Url> url = split_url(address);
    if (!url) return;
    const Hints hints = hints_of(word);
    Work work(state_, scratch_, hints, found_);
    if (add_url(address, work)) return;
    std::string_view query = url->rest.substr(0, url->rest.find('#'));
    (void)cut(query, '?');
    work.at({.host = url->host});
    add_fields(query, '&', work);
  }

  void add_header_word(const ArgWord& word) {
    std::string_view text = word.value;
    // git -c http.https://host/.extraHeader="Authorization: …"
    if (const std::size_t equals = text.find('=');
        equals < text.find(' ') && lower(text.substr(0, equals)).ends_with("extraheader"))
      text.remove_prefix(equals + 1);
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || colon == 0) return;
    const std::string_view name = trimmed(text.substr(0, colon));
    if (name.find_first_of(" /@=") != std::string_view::npos) return;
    if (guards_a_form(name)) return;
    const std::string_view value = trimmed(text.substr(colon + 1));
    if (same_word(name, "cookie")) return for_each_host(word, {}, [&](Work& work) { add_cookies(value, work); });
    const catalog::CarriedKey* known = carried(name, state_);
    for_each_host(word, {.selector = name}, [&](Work& work) {
      known != nullptr ? add_carried(known->kind, value, work) : (void)add_header(text, work);
    });
  }

  void add_token(const ArgWord& word) {
    // The id beside it, where that is public: "--access_key ID --secret_key SECRET".
    if (const std::string_view id = first(ArgUse::kKeyId); !id.empty())
      return add_signing_key(word, word.rules->token, id, word.value);
    for_each_host(word, {.login = first(ArgUse::kUser)},
                  [&](Work& work) { (void)add_credential(token_of(word), false, work); });
  }

  void add_setting(const ArgWord& word) {
    const std::string_view name = word.value.substr(0, word.value.find('='));
    const Meaning meaning = meaning_of(name);
    if (name.size() < word.value.size() && (meaning == Meaning::kToken || meaning == Meaning::kPassword))
      add_stored({word.use, word.flag, word.value.substr(name.size() + 1), word.position, word.rules},
                 is_name(name, 126) ? name : std::string_view());
  }

  /// What the program is to keep or to pass on is no key of its own calls, whatever it is called.
  void add_stored(const ArgWord& word, std::string_view name) {
    const std::string_view value = unquoted(word.value);
    const Hints hints = hints_of(word);
    Work work(state_, scratch_, hints, found_);
    work.at({.selector = name});
    if (value.empty() || value.front() == '@' || value.starts_with("file://")) return;  // a file's content
    if (!work.is_no_key(value) && !add_token_by_shape(value, work))
      work.add(work.fact("generic.stored_secret", KeyClass::kAccessKey, Lifetime::kUnknown), value, name);
  }

  void add_login(const ArgWord& word, const std::vector<std::string>& hosts) {
    std::string_view secret = word.value;
    std::string_view login = cut(secret, ':');
    if (same_word(first(ArgUse::kAuthType), "bearer"))
      return for_each_of(hosts, word, {}, [&](Work& work) { (void)add_credential(word.value, false, work); });
    const Hints hints = hints_of(word);
    secret = key_of_login(login, secret, Work(state_, scratch_, hints, found_));
    for_each_of(hosts, word, {.login = login}, [&](Work& work) { (void)add_credential(secret, true, work); });
  }

  /// The login signs instead of being sent (curl --aws-sigv4).
  void add_signing_login(const ArgWord& word) {
    std::string_view secret = word.value;
    const std::string_view id = cut(secret, ':');
    const bool session = id.starts_with("ASIA") || std::ranges::any_of(line_.words, [](const ArgWord& one) {
                           return one.use == ArgUse::kHeader &&
                                  same_word(one.value.substr(0, one.value.find(':')), "x-amz-security-token");
                         });
    add_signing_key(word, session ? "aws.session" : "aws.access_key", id, secret);
  }

  void add_signing_key(const ArgWord& word, std::string_view kind, std::string_view id, std::string_view secret) {
    for_each_host(word, {}, [&](Work& work) {
      if (id.empty() || secret.empty() || work.is_no_key(secret, kind)) return;
      if (work.standing(id) != Standing::kKey) return (void)work.is_no_key(id, kind);
      KeyFact fact = work.fact(kind, KeyClass::kAccessKey, Lifetime::kUnknown);
      if (is_name(id, 128)) fact.key.id = std::string(id);
      work.add(std::move(fact), secret);
    });
  }

  void add_form(const ArgWord& word, char separator) {
    if (word.value.starts_with('@')) return;  // a file's content
    // A form that a client is given as such is mostly a login's, as OAuth's are.
    const bool is_form = !word.flag.empty() && !word.value.starts_with('{') && !word.value.starts_with('[');
    static const std::vector<std::string> kNone;
    const bool web = word.rules->password.starts_with("http.");
    for_each_of(body_is_payload_ && web && !is_form ? kNone : hosts_, word, {}, [&](Work& work) {
      if (!add_json(word.value, work)) add_fields(word.value, separator, work);
    });
  }

  /// "host=… user=… password=…" (libpq); a text with anything else in it is none.
  void add_connection_text(const ArgWord& word) {
    std::string_view rest = word.value;
    while (!rest.empty()) {
      const std::string_view part = cut(rest, ' ');
      if (!part.empty() && part.find('=') == std::string_view::npos) return;
    }
    std::string_view host;
    if (!word.rules->password.starts_with("http.")) (void)field(word.value, ' ', {"host", "hostaddr"}, host);
    note_host(host, hosts_);
    add_form(word, ' ');
  }

  const ArgLine& line_;
  const ExaminerState& state_;
  Arena& scratch_;
  Found& found_;
  std::vector<std::string> hosts_;    ///< that the command names, with their ports
  std::vector<std::string> proxies_;  ///< the same of proxies
  bool body_is_payload_ =
      false;  ///< the command has another key for its host: what its body says is sent, not who asks
};

}  // namespace

void parse_arguments(std::string_view program, std::string_view bytes, const ExaminerState& state, Arena& scratch,
                     Found& found) {
  found.unread = role::Unread::kNone;
  try {
    const ArgLine line = read_command_line(program, bytes, state.programs);
    if (line.cut) ++found.skipped;
    Arguments(line, state, scratch, found).add_all();
  } catch (const std::exception&) {  // out of memory: its text goes nowhere
    ++found.skipped;
  }
}

}  // namespace keytrail::examine
