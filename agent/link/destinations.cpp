// SPDX-License-Identifier: Apache-2.0
#include "agent/link/destinations.h"

#include <algorithm>

#include "agent/base/domain.h"
#include "agent/base/host.h"
#include "agent/base/program_name.h"
#include "agent/link/environment.h"
#include "agent/link/selectors.h"

namespace keytrail::link {
namespace {

using catalog::Catalog;
using catalog::Env;
using catalog::EnvUse;

constexpr std::uint16_t kSshPort = 22;

struct Name {
  std::string host;
  NameSource source = NameSource::kNone;
};

Name name_of_payload(const PayloadEvent* payload) {
  if (payload == nullptr || payload->name.empty()) return {};
  switch (payload->protocol) {
    case PayloadEvent::Protocol::kHttp:
      return {base::host_text(payload->name), NameSource::kRequest};
    case PayloadEvent::Protocol::kHttpConnect:
      return {base::host_text(payload->name), NameSource::kConnectProxy};
    case PayloadEvent::Protocol::kTls:
      return {base::host_text(payload->name), NameSource::kSni};
    case PayloadEvent::Protocol::kOther:
    case PayloadEvent::Protocol::kSsh:
    case PayloadEvent::Protocol::kTlsData:
    case PayloadEvent::Protocol::kStatus:
      break;
  }
  return {};
}

struct Binding {
  std::string host;
  const Env* entry = nullptr;
};

/// Half a URL could name another host, so a value that was cut binds nothing.
/// The destination variable of this process that names the host or the address it calls.
std::optional<Binding> bound_by_environment(const Called& called, const std::string& host, const Instance& caller,
                                            const Catalog& catalog) {
  const std::string address = base::address_text(called.remote);
  for (const EnvItem& item : caller.env()) {
    if (item.value.empty() || item.truncated) continue;
    const Env* entry = catalog.match_env(item.name);
    if (entry == nullptr || entry->use != EnvUse::kDestination) continue;
    const base::HostPort bound = base::host_of_url(item.value);
    if (bound.host.empty() || (bound.port != 0 && bound.port != called.remote.port)) continue;
    if (bound.host == address || (!host.empty() && bound.host == host)) return Binding{bound.host, entry};
  }
  return std::nullopt;
}

/// The SNI or Host is what the client claims. The process's own DNS, where it has one for this address, must not say
/// that the address is somebody else's. The address itself, claimed as a name, says nothing.
bool contradicts(const std::string& claimed, const std::vector<std::string>& own_names, const Destination& to,
                 const Catalog& catalog) {
  if (own_names.empty() || claimed == to.address || std::ranges::find(own_names, claimed) != own_names.end())
    return false;
  return std::ranges::none_of(own_names, [&](const std::string& name) { return agree(name, claimed, catalog); });
}

/// Only an address, and the process asked for several names of different services that share it.
bool shared(const std::vector<std::string>& own_names, const Catalog& catalog) {
  if (own_names.size() < 2) return false;
  const auto first = catalog.match_host(own_names.front());
  return std::ranges::any_of(own_names, [&](const std::string& name) {
    const auto other = catalog.match_host(name);
    return first.has_value() != other.has_value() ||
           (first &&
            (first->provider != other->provider || first->service != other->service || first->region != other->region));
  });
}

void describe(Resolved& out, const catalog::Endpoint& endpoint) {
  out.endpoint = endpoint;
  out.known = true;
  out.takes_keys = endpoint.takes_keys;
  out.destination.provider = endpoint.provider;
  out.destination.service = endpoint.service;
  out.destination.region = endpoint.region;
}

}  // namespace

Resolved resolve(const Called& called, const Instance& caller, Names& names, const Catalog& catalog) {
  Resolved out;
  out.destination.address = base::address_text(called.remote);
  out.destination.port = called.remote.port;
  const PayloadEvent* payload = called.payload;
  if (payload != nullptr && payload->protocol == PayloadEvent::Protocol::kHttp) out.path = payload->path;
  // Never taken for the user: who stands behind it is not seen here.
  if (caller.program != nullptr && caller.program->relay && caller.process)
    out.via = "relay " + std::string(base::base_name(caller.process->exe));
  const std::vector<std::string> own = Names::own(caller, called.remote);
  Name name = name_of_payload(payload);
  const bool proxied = name.source == NameSource::kConnectProxy;
  if (proxied) {
    out.via = "proxy " + base::address_and_port(called.remote);
    if (payload->port != 0) out.destination.port = payload->port;
  } else if (!name.host.empty()) {
    out.contradiction = contradicts(name.host, own, out.destination, catalog) || payload->ech;
  }
  // A claimed name that says nothing, at an address that the process itself asked for under a name that does: that
  // name, and the contradiction.
  if (out.contradiction && !catalog.match_host(name.host) &&
      catalog.match_host(own.empty() ? std::string() : own.front()))
    name = {};
  const bool claimed = !name.host.empty();
  const std::string dns = !own.empty() ? own.front() : names.of_namespace(called.net_ns, called.remote, called.time_ns);
  const auto binding =
      proxied ? std::nullopt : bound_by_environment(called, claimed ? name.host : dns, caller, catalog);
  if (!claimed) {
    if (binding) {
      name = {binding->host, NameSource::kEnvironment};
    } else if (!dns.empty()) {
      name = {dns, NameSource::kDns};
      out.contradiction = out.contradiction || shared(own, catalog);
    } else {
      name.source = NameSource::kAddress;
    }
  }
  if (binding) out.named_by = binding->entry->provider;
  out.destination.host = name.host;
  out.destination.name_source = name.source;
  out.destination.ambiguous = out.contradiction;
  // No catalog knows the hosts that people log in to: the host stands in for the service.
  out.ssh = !called.udp && (called.remote.port == kSshPort ||
                            (payload != nullptr && payload->protocol == PayloadEvent::Protocol::kSsh));
  if (out.ssh) {
    if (const auto endpoint = catalog.match_port(kSshPort)) describe(out, *endpoint);
    out.destination.provider = "ssh";
    out.destination.service = name.host.empty() ? out.destination.address : name.host;
    return out;
  }
  // Who knows more goes first: a name of the catalog; a variable, which says what its host is, whatever it is called; a
  // port, which says the protocol only (a database).
  if (const auto endpoint = name.host.empty() ? std::nullopt : catalog.match_host(name.host)) {
    describe(out, *endpoint);
  } else if (binding) {
    if (const auto bound = catalog.bound_endpoint(binding->entry->name)) describe(out, *bound);
  } else if (const auto service = called.udp ? std::nullopt : catalog.match_port(out.destination.port)) {
    describe(out, *service);
  }
  return out;
}

bool is_host(const Resolved& resolved, std::string_view host) {
  const Destination& to = resolved.destination;
  const base::HostPort named = base::host_of_url(host);
  return !named.host.empty() && (named.port == 0 || named.port == to.port) &&
         (named.host == to.host || named.host == to.address);
}

// A host of one's own (a cluster, a registry) is in no catalog: the file that the key came from says what it is. So
// does a file whose key could not be read: the use is not silent then, and the mark keeps it from being sure.
bool name_by_file(Resolved& resolved, const Instance& caller, const Catalog& catalog) {
  Destination& to = resolved.destination;
  for (const Held& held : caller.holdings) {
    const HeldKey& what = *held.what;
    if (held.how == How::kLostAtExec || !is_host(resolved, what.host)) continue;
    if (to.host.empty()) to.host = base::host_of_url(what.host).host;
    if (const auto endpoint = catalog.file_endpoint(what.selector_rule)) {
      describe(resolved, *endpoint);
      return true;
    }
    const catalog::Kind* kind = catalog.kind(what.key.kind);
    if (kind == nullptr || !kind->authenticates) continue;
    if (resolved.kinds.empty()) to.provider = kind->provider;
    resolved.kinds.push_back(what.key.kind);
  }
  for (const Unidentified& mark : caller.doubts.unidentified) {
    const auto endpoint = is_host(resolved, mark.host) ? catalog.file_endpoint(mark.selector_rule) : std::nullopt;
    if (!endpoint || !resolved.kinds.empty()) continue;
    if (to.host.empty()) to.host = base::host_of_url(mark.host).host;
    describe(resolved, *endpoint);
    return true;
  }
  resolved.known = resolved.takes_keys = !resolved.kinds.empty();
  return resolved.known;
}

bool is_tied(const Resolved& resolved, const HeldKey& key, const Instance& holder, const Catalog& catalog) {
  const std::string_view there = resolved.destination.provider;
  // Docker's and dockerhub's, vault's and hashicorpvault's: one service under two names.
  const auto is_there = [&](std::string_view provider) {
    return !provider.empty() &&
           (there.starts_with(provider) || there.ends_with(provider) || provider == resolved.named_by);
  };
  if (resolved.ssh || !resolved.kinds.empty()) return true;
  const catalog::Kind* kind = catalog.kind(key.key.kind);
  if (kind != nullptr && !kind->wildcard && is_there(kind->provider)) return true;
  if (is_entry_of_host(key, resolved.destination.host) || is_host(resolved, key.host)) return true;
  switch (key.slot.from) {
    case From::kEnvironment: {
      const Env* entry = catalog.match_env(key.slot.place);
      return entry != nullptr && is_there(entry->provider);
    }
    case From::kFile: {
      const catalog::File* file = catalog.match_file(key.slot.place);
      const catalog::File* told = file_of_pointer(holder.env(), catalog, key.slot.place);
      return (file != nullptr && is_there(file->provider)) || (told != nullptr && is_there(told->provider));
    }
    case From::kIssued:
      return base::registrable_domain(key.slot.place) == base::registrable_domain(resolved.destination.host);
    default:
      return false;
  }
}

bool accepts(const Resolved& resolved, std::string_view kind, const Catalog& catalog) {
  if (!resolved.takes_keys) return false;
  if (const catalog::Kind* known = catalog.kind(kind); known != nullptr && !known->authenticates) return false;
  if (!resolved.kinds.empty()) return std::ranges::find(resolved.kinds, kind) != resolved.kinds.end();
  return catalog.accepts(resolved.endpoint, kind);
}

}  // namespace keytrail::link
