// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/text.h"

#include <cctype>

#include "agent/base/host.h"

namespace keytrail::examine {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// Labels of small letters, digits and hyphens, the last one of letters alone (or an IPv4 address): not every name with
/// a dot in it ("u.t-login-accesstoken-1").
bool is_host(std::string_view host) {
  const std::size_t dot = host.rfind('.');
  if (dot == std::string_view::npos || host.find("..") != std::string_view::npos) return false;
  const std::string_view last = host.substr(dot + 1);
  const auto all = [](std::string_view text, auto test) {
    return !text.empty() && std::ranges::all_of(text, [&](unsigned char c) { return test(c); });
  };
  const bool address = all(host, [](unsigned char c) { return std::isdigit(c) != 0 || c == '.'; });
  return host.front() != '.' && host.front() != '-' &&
         (address || last.starts_with("xn--") || all(last, [](unsigned char c) { return std::islower(c) != 0; })) &&
         all(host,
             [](unsigned char c) { return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '.' || c == '-'; });
}

bool is_scheme(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '+' || c == '.' || c == '-' || c == ':';
  });
}

}  // namespace

bool same_word(std::string_view a, std::string_view b) {
  const auto lower = [](unsigned char c) { return std::tolower(c); };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view unquoted(std::string_view text) {
  const bool quoted = text.size() >= 2 && (text.front() == '"' || text.front() == '\'' || text.front() == '`') &&
                      text.back() == text.front();
  return quoted ? text.substr(1, text.size() - 2) : text;
}

std::string_view percent_decoded(std::string_view text, Arena& scratch) {
  if (text.find('%') == std::string_view::npos) return text;
  const std::span<char> out = scratch.take(text.size());
  if (out.empty()) return {};
  std::size_t n = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool code =
        text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
    out[n++] = code ? static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])) : text[i];
    if (code) i += 2;
  }
  return {out.data(), n};
}

std::string_view cut(std::string_view& text, char separator) {
  const std::size_t at = std::min(text.find(separator), text.size());
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return head;
}

std::optional<Url> split_url(std::string_view text) {
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos || !is_scheme(text.substr(0, colon))) return std::nullopt;
  Url out{.scheme = text.substr(0, colon)};
  text.remove_prefix(colon + 3);
  const std::size_t end = std::min(text.find_first_of("/?#"), text.size());
  std::string_view authority = text.substr(0, end);
  out.rest = text.substr(end);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    out.secret = authority.substr(0, at);
    out.login = cut(out.secret, ':');
    authority.remove_prefix(at + 1);
  }
  out.host = authority;
  if (out.host.empty() && out.rest.empty()) return std::nullopt;
  return out;
}

std::string_view host_of_name(std::string_view name) {
  if (const std::optional<Url> url = split_url(name)) return url->host;
  if (name.starts_with("//")) name.remove_prefix(2);
  const std::string_view authority = name.substr(0, name.find('/'));
  const std::string_view host = base::split_host(authority).host;
  return is_host(host) ? authority : std::string_view();
}

std::string without_user_info(std::string_view value) {
  const std::size_t scheme = value.find("://");
  if (scheme == std::string_view::npos) return std::string(value);
  const std::size_t begin = scheme + 3;
  const std::size_t end = std::min(value.find_first_of("/?#", begin), value.size());
  const std::size_t at = value.substr(0, end).rfind('@');
  if (at == std::string_view::npos || at < begin) return std::string(value);
  return std::string(value.substr(0, begin)).append(value.substr(at + 1));
}

}  // namespace keytrail::examine
