// SPDX-License-Identifier: Apache-2.0
// Hosts as clients, files and the kernel write them, made comparable: the one place where "host:port" is taken apart.
// Names of other alphabets stay as they were written (xn--… or nothing). Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "keytrail/event.h"

namespace keytrail::base {

struct HostPort {
  std::string host;        ///< as host_text(); empty when the text names no host
  std::uint16_t port = 0;  ///< 0 when absent
  bool operator==(const HostPort&) const = default;
};

/// "host:port", "[v6]:port", "host" or a bare IPv6 address, cut; nothing is checked. Views into the text; the host
/// without brackets.
struct HostParts {
  std::string_view host;
  std::string_view port;  ///< without its colon
  bool whole = true;      ///< nothing is left over: no text behind the bracket, no open bracket
};
[[nodiscard]] HostParts split_host(std::string_view text);

/// Lower case, without the trailing dot. Empty when it cannot be a host name: longer than 253 bytes, a label that is
/// empty or longer than 63, or a character that is not a letter, digit, '-', '_' or '.' (RFC 1123, with the underscore
/// that service names use).
[[nodiscard]] std::string host_name(std::string_view text);
/// A name as host_name(); an address as address_text(), also out of brackets. Empty when it is neither.
[[nodiscard]] std::string host_text(std::string_view text);
/// The authority of a request or an entry of a file, with or without a port (RFC 9110 section 7.2). User information is
/// refused.
[[nodiscard]] HostPort parse_host(std::string_view text);
/// The same of a URL ("https://user@host:port/path"), of its authority with a path behind it
/// ("registry.example:5000/team"), or of a host.
[[nodiscard]] HostPort host_of_url(std::string_view text);

/// "192.0.2.1" or "2001:db8::1".
[[nodiscard]] std::string address_text(const SocketAddress& where);
/// The address of such a text, port 0; one of IPv4 inside IPv6 is the IPv4 one, as everywhere in SocketAddress.
[[nodiscard]] std::optional<SocketAddress> parse_address(std::string_view text);
/// "192.0.2.1:443" or "[2001:db8::1]:443".
[[nodiscard]] std::string address_and_port(const SocketAddress& where);
/// Also the address of all zeros: who calls it is led to this machine.
[[nodiscard]] bool is_loopback(const SocketAddress& where);
/// Whether a host is an address and no name.
[[nodiscard]] bool is_address(std::string_view host);

}  // namespace keytrail::base
