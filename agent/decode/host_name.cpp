// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/host_name.h"

#include <charconv>

namespace keytrail::decode {
namespace {

constexpr std::size_t kMaxName = 253;
constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxV6 = 45;

bool is_v6_literal(std::string_view text) {
  return text.size() >= 2 && text.size() <= kMaxV6 && text.contains(':') &&
         text.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool plausible(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

}  // namespace

std::string host_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kMaxName) return {};
  std::string out(text);
  std::size_t label = 0;
  for (char& c : out) {
    c = lower(c);
    if (c == '.') {
      if (label == 0) return {};
      label = 0;
    } else if (!plausible(c) || ++label > kMaxLabel) {
      return {};
    }
  }
  return label == 0 ? std::string{} : out;
}

HostPort host_port(std::string_view text) {
  if (text.empty()) return {};
  HostPort out;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos || !is_v6_literal(text.substr(1, close - 1))) return HostPort{.bad = true};
    for (char c : text.substr(1, close - 1))
      out.host += lower(c);
    port = text.substr(close + 1);
  } else {
    const std::size_t colon = text.find(':');
    out.host = host_name(text.substr(0, colon));
    if (out.host.empty()) return HostPort{.bad = true};
    if (colon != std::string_view::npos) port = text.substr(colon);
  }
  if (port.empty() || port == ":") return out;
  if (!port.starts_with(':')) return HostPort{.bad = true};
  port.remove_prefix(1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  return error == std::errc{} && end == port.data() + port.size() ? out : HostPort{.bad = true};
}

}  // namespace keytrail::decode
