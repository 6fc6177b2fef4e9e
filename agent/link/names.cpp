// SPDX-License-Identifier: Apache-2.0
#include "agent/link/names.h"

#include <arpa/inet.h>
#include <ranges>

#include <algorithm>
#include <cctype>

namespace keytrail::link {
namespace {

constexpr std::size_t kMaxHost = 253;

bool same_address(const Endpoint& a, const Endpoint& b) { return a.v6 == b.v6 && a.address == b.address; }

std::string namespace_key(std::uint32_t net_ns, const Endpoint& address) {
  std::string key(reinterpret_cast<const char*>(&net_ns), sizeof net_ns);
  key.append(reinterpret_cast<const char*>(address.address.data()), address.v6 ? 16 : 4);
  return key;
}

}  // namespace

std::string address_text(const Endpoint& endpoint) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(endpoint.v6 ? AF_INET6 : AF_INET, endpoint.address.data(), text, sizeof text);
  return text;
}

bool is_loopback(const Endpoint& endpoint) {
  if (!endpoint.v6) return endpoint.address[0] == 127;
  return std::all_of(endpoint.address.begin(), endpoint.address.end() - 1, [](std::uint8_t byte) { return byte == 0; }) &&
         endpoint.address[15] == 1;
}

std::string host_text(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string text(host.substr(0, kMaxHost));
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string_view registrable(std::string_view host) {
  if (host.empty() || host.find(':') != host.npos || (std::isdigit(static_cast<unsigned char>(host.back())) != 0)) return host;
  const std::size_t last = host.rfind('.');
  if (last == host.npos || last == 0) return host;
  const std::size_t before = host.rfind('.', last - 1);
  return before == host.npos ? host : host.substr(before + 1);
}

bool Names::learn(const DnsEvent& event, std::uint64_t time_ns, Instance* asker) {
  bool told = false;
  for (const DnsAnswer& answer : event.answers) {
    const std::string name = host_text(answer.name);
    if (name.empty()) continue;
    *by_namespace_.get(namespace_key(event.net_ns, answer.address)).first = Known{name, time_ns};
    if (asker == nullptr) continue;
    told = asker->doubts.note_name(answer.address, name) || told;
  }
  return told;
}

std::vector<std::string> Names::own(const Instance& instance, const Endpoint& address) {
  std::vector<std::string> found;
  for (const auto& known : std::views::reverse(instance.doubts.names)) {
    if (same_address(known.address, address)) found.push_back(known.name);
  }
  return found;
}

std::string Names::of_namespace(std::uint32_t net_ns, const Endpoint& address, std::uint64_t time_ns) {
  const Known* known = by_namespace_.find(namespace_key(net_ns, address));
  if (known == nullptr || known->time_ns + believed_ns_ < time_ns) return {};
  return known->name;
}

}  // namespace keytrail::link
