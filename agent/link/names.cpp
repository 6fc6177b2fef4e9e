// SPDX-License-Identifier: Apache-2.0
#include "agent/link/names.h"

#include <algorithm>
#include <ranges>

#include "agent/base/domain.h"
#include "agent/base/host.h"

namespace keytrail::link {
namespace {

/// "vault" or "vault.team.svc" for vault.team.svc.cluster.local: what a resolver's search list completes. A name of the
/// internet is completed by no one but somebody else (sts.amazonaws.com.example.net).
bool is_short_for(std::string_view name, std::string_view full) {
  if (name.empty() || full.size() <= name.size() + 1 || !full.starts_with(name) || full[name.size()] != '.')
    return false;
  return !name.contains('.') || !base::is_public_name(full);
}

bool same_address(const SocketAddress& a, const SocketAddress& b) { return a.v6 == b.v6 && a.address == b.address; }

std::string namespace_key(std::uint32_t net_ns, const SocketAddress& address) {
  std::string key(reinterpret_cast<const char*>(&net_ns), sizeof net_ns);
  key.append(reinterpret_cast<const char*>(address.address.data()), address.v6 ? 16 : 4);
  return key;
}

/// Of two names of one provider, service and region: is it one server's owner? All tenants of a service call the
/// provider's own servers, so a bucket's name goes with the service's (and with that of its servers), but not with
/// another bucket's. Where anyone can put a service, only that one goes.
bool same_tenant(const catalog::Endpoint& a, const catalog::Endpoint& b) {
  return a.tenant == b.tenant || (!a.open && !b.open && (a.tenant.empty() || b.tenant.empty()));
}

/// One registrable domain that a customer has: of x.evil.github.io, not the okta.com of every customer.
bool in_one_tenants_domain(std::string_view a, std::string_view b, const catalog::Catalog& catalog) {
  const std::string_view domain = base::registrable_domain(a);
  if (domain != base::registrable_domain(b)) return false;
  const auto owner = catalog.match_host(domain);
  return owner && !owner->tenant.empty();
}

}  // namespace

bool agree(std::string_view a, std::string_view b, const catalog::Catalog& catalog) {
  if (a == b) return true;
  const auto one = catalog.match_host(a), other = catalog.match_host(b);
  if (one && other) {
    if (one->provider != other->provider || one->service != other->service || one->region != other->region)
      return false;
    return same_tenant(*one, *other) || in_one_tenants_domain(a, b, catalog);
  }
  if ((!one && is_short_for(a, b)) || (!other && is_short_for(b, a))) return true;
  if ((one && !one->tenant.empty()) || (other && !other->tenant.empty())) return in_one_tenants_domain(a, b, catalog);
  return base::registrable_domain(a) == base::registrable_domain(b);
}

bool Names::learn(const DnsEvent& event, std::uint64_t time_ns, Instance* asker) {
  bool told = false;
  for (const DnsAnswer& answer : event.answers) {
    const std::string name = base::host_text(answer.name);
    if (name.empty()) continue;
    *by_namespace_.get(namespace_key(event.net_ns, answer.address)).first = Known{name, time_ns};
    if (asker == nullptr) continue;
    told = asker->doubts.note_name(answer.address, name) || told;
  }
  return told;
}

std::vector<std::string> Names::own(const Instance& instance, const SocketAddress& address) {
  std::vector<std::string> found;
  for (const auto& known : std::views::reverse(instance.doubts.names)) {
    if (same_address(known.address, address)) found.push_back(known.name);
  }
  return found;
}

std::string Names::of_namespace(std::uint32_t net_ns, const SocketAddress& address, std::uint64_t time_ns) {
  const Known* known = by_namespace_.find(namespace_key(net_ns, address));
  if (known == nullptr || known->time_ns + believed_ns_ < time_ns) return {};
  return known->name;
}

}  // namespace keytrail::link
