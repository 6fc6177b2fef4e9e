// SPDX-License-Identifier: Apache-2.0
#include "agent/base/host.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace keytrail::base {
namespace {

constexpr std::size_t kMaxName = 253;
constexpr std::size_t kMaxLabel = 63;

/// The lower case of each character that a host name may hold, 0 for others. A table, since each use asks several
/// times.
constexpr std::array<char, 256> kNameCharacters = [] {
  std::array<char, 256> out{};
  for (char c = 'a'; c <= 'z'; ++c)
    out[static_cast<unsigned char>(c)] = out[static_cast<unsigned char>(c - 'a' + 'A')] = c;
  for (const char c : std::string_view("0123456789-_."))
    out[static_cast<unsigned char>(c)] = c;
  return out;
}();

/// One text for every way to write an address; empty for what is none.
std::string canonical_address(std::string_view text) {
  const std::optional<SocketAddress> address = parse_address(text);
  return address ? address_text(*address) : std::string();
}

}  // namespace

HostParts split_host(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == text.npos) return {.host = text.substr(1), .whole = false};
    const std::string_view rest = text.substr(close + 1);
    return {.host = text.substr(1, close - 1),
            .port = rest.substr(std::min<std::size_t>(1, rest.size())),
            .whole = rest.empty() || rest.front() == ':'};
  }
  const std::size_t colon = text.find(':');
  // More than one colon without brackets is a bare IPv6 address.
  if (colon == text.npos || text.find(':', colon + 1) != text.npos) return {.host = text};
  return {.host = text.substr(0, colon), .port = text.substr(colon + 1)};
}

std::string host_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kMaxName) return {};
  std::string out(text);
  std::size_t label = 0;  // where the label begins
  for (std::size_t i = 0; i < out.size(); ++i) {
    const char c = out[i] = kNameCharacters[static_cast<unsigned char>(out[i])];
    if (c == 0) return {};
    if (c != '.') continue;
    if (i == label || i - label > kMaxLabel) return {};
    label = i + 1;
  }
  return label == out.size() || out.size() - label > kMaxLabel ? std::string{} : out;
}

std::string host_text(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  return text.contains(':') ? canonical_address(text) : host_name(text);
}

HostPort parse_host(std::string_view text) {
  const HostParts parts = split_host(text);
  HostPort out;
  if (!parts.whole || (text.starts_with('[') && !parts.host.contains(':'))) return {};
  out.host = host_text(parts.host);
  if (out.host.empty() || parts.port.empty()) return out;
  const std::string port(parts.port);
  const char* const end = port.data() + port.size();
  const auto [stop, error] = std::from_chars(port.data(), end, out.port);
  return error == std::errc{} && stop == end ? out : HostPort{};
}

std::optional<SocketAddress> parse_address(std::string_view text) {
  text = text.substr(0, text.find('%'));  // an interface says nothing on another machine
  std::array<char, INET6_ADDRSTRLEN> given{};
  if (text.size() >= given.size()) return std::nullopt;
  std::ranges::copy(text, given.begin());
  SocketAddress out;
  if (inet_pton(AF_INET, given.data(), out.address.data()) == 1) return out;
  if (inet_pton(AF_INET6, given.data(), out.address.data()) != 1) return std::nullopt;
  constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  out.v6 = !std::ranges::equal(kMapped, std::span(out.address).first(kMapped.size()));
  if (out.v6) return out;
  SocketAddress v4;
  std::copy(out.address.begin() + kMapped.size(), out.address.end(), v4.address.begin());
  return v4;
}

std::string address_text(const SocketAddress& where) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(where.v6 ? AF_INET6 : AF_INET, where.address.data(), text.data(), text.size());
  return text.data();
}

std::string address_and_port(const SocketAddress& where) {
  const std::string address = address_text(where);
  return (where.v6 ? "[" + address + "]" : address) + ":" + std::to_string(where.port);
}

bool is_loopback(const SocketAddress& where) {
  const auto none = [](auto begin, auto end) { return std::all_of(begin, end, [](std::uint8_t b) { return b == 0; }); };
  if (!where.v6) return where.address[0] == 127 || none(where.address.begin(), where.address.begin() + 4);
  return where.address.back() <= 1 && none(where.address.begin(), where.address.end() - 1);
}

bool is_address(std::string_view host) {
  // Quick for names: an address ends in a digit, or has a colon.
  const bool maybe = host.contains(':') || (!host.empty() && host.back() >= '0' && host.back() <= '9');
  return maybe && !canonical_address(host).empty();
}

}  // namespace keytrail::base
