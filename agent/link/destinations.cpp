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
    case PayloadEvent::Protocol::kSocks:
      return {base::host_text(payload->name), NameSource::kConnectProxy};
    case PayloadEvent::Protocol::kTls:
    case PayloadEvent::Protocol::kQuic:
      return {base::host_text(payload->name), NameSource::kSni};
    case PayloadEvent::Protocol::kOther:
    case PayloadEvent::Protocol::kSsh:
    case PayloadEvent::Protocol::kTlsData:
    case PayloadEvent::Protocol::kStatus:
      break;
  }
  return {};
}

std::string_view unnamed_by(const PayloadEvent* payload) {
  if (payload == nullptr) return "what it sent first was not seen whole";
  if (!payload->name.empty()) return {};
  switch (payload->unread) {
    case PayloadEvent::Unread::kTooLong:
      return "what it sent first is longer than is put together";
    case PayloadEvent::Unread::kTooMany:
      return "too many connections sent theirs in pieces at that time";
    case PayloadEvent::Unread::kCut:
      return "its ClientHello is not whole or not valid";
    case PayloadEvent::Unread::kNoName:
      return "its ClientHello has no name";
    case PayloadEvent::Unread::kUnreadable:
      return "its QUIC handshake could not be read";
    case PayloadEvent::Unread::kNot:
      break;
  }
  return "what it sent first is of a protocol without names";
}

struct Binding {
  std::string host;
  catalog::Endpoint endpoint;
  const Env* entry = nullptr;
  std::string_view value;
};

/// The one of these addresses ("cache:6379", "https://a:9200,b:9200") that is the destination, or nothing.
std::optional<base::HostPort> address_among(std::string_view addresses, const Destination& to) {
  while (!addresses.empty()) {
    const std::string_view one = addresses.substr(0, addresses.find(','));
    addresses.remove_prefix(std::min(one.size() + 1, addresses.size()));
    base::HostPort named = base::host_of_url(one);
    if (named.host.empty() || (named.port != 0 && named.port != to.port)) continue;
    const bool local = named.host == "localhost" && (to.address == "::1" || to.address.starts_with("127."));
    if (named.host == to.host || named.host == to.address || local) return named;
  }
  return std::nullopt;
}

/// "http://host/msi/token?x" → "/msi/token"; empty for none, or the root.
std::string path_of_url(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("?#"));
  url.remove_prefix(std::min(url.find('/'), url.size()));
  return url == "/" ? std::string() : std::string(url);
}

/// The variable of this process that names the host or the address of the destination. Half a URL could name another
/// host, so a value that was cut binds nothing, unless the examiner read the whole of it.
std::optional<Binding> bound_by_environment(const Destination& to, const Instance& caller, const Catalog& catalog) {
  for (const EnvItem& item : caller.env()) {
    if (item.value.empty()) continue;
    const Env* entry = catalog.match_env(item.name);
    if (entry == nullptr || entry->binding.empty() || (item.truncated && !entry->url)) continue;
    const auto bound = address_among(item.value, to);
    const auto endpoint = bound ? catalog.bound_endpoint(item.name, item.value) : std::nullopt;
    if (endpoint) return Binding{bound->host, *endpoint, entry, item.value};
  }
  for (const ToldPlace& place : caller.doubts.told_places) {  // of an address: what a variable could say as well
    const Env* entry = catalog.match_env(place.file);
    const auto bound = entry == nullptr || entry->binding.empty() ? std::nullopt : address_among(place.path, to);
    const auto endpoint = bound ? catalog.bound_endpoint(place.file, place.path) : std::nullopt;
    if (endpoint) return Binding{bound->host, *endpoint, entry};
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

/// Of this machine, or of the link that it is on: no provider's host has such an address.
bool is_local(const SocketAddress& remote) {
  const auto& at = remote.address;
  const bool link_local = remote.v6 ? at[0] == 0xfe && (at[1] & 0xc0U) == 0x80 : at[0] == 169 && at[1] == 254;
  return link_local || base::is_loopback(remote);
}

/// Is a claimed name the caller's word only? What it asked for itself bears the name out or contradicts it; else what
/// others of its network namespace asked for may bear it out.
bool is_only_claimed(const std::string& claimed, bool asked_itself, const std::string& dns, const Resolved& out,
                     const Catalog& catalog) {
  if (claimed == out.destination.address) return false;
  if (asked_itself) return out.contradiction;
  return dns.empty() || (dns != claimed && !agree(dns, claimed, catalog));
}

/// Questions to a name server over TCP have no name of their own.
bool is_name_server(const Called& called) {
  return called.tunnel == nullptr && called.remote.port == kDnsPort && name_of_payload(called.payload).host.empty();
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

/// Where the connection goes, or a tunnel that a proxy was asked for by address: names are then that address's. A
/// tunnel by name has the proxy's address and its own port.
SocketAddress target_of(const Called& called) {
  SocketAddress out = called.remote;
  if (called.tunnel == nullptr) return out;
  if (const auto address = base::parse_address(called.tunnel->name)) out = *address;
  out.port = called.tunnel->port != 0 ? called.tunnel->port : called.remote.port;
  return out;
}

void describe(Resolved& out, const catalog::Endpoint& endpoint) {
  out.endpoint = endpoint;
  out.known = true;
  out.takes_keys = endpoint.takes_keys;
  out.destination.provider = endpoint.provider;
  out.destination.service = endpoint.service;
  out.destination.region = endpoint.region;
}

void note_variable(Resolved& out, const Binding& binding) {
  out.named_by = binding.entry->provider;
  if (!binding.entry->hands_out()) return;
  out.hands_out = binding.entry->kind;
  out.hands_out_at = path_of_url(binding.value);
}

/// A name that each network has for a service of its own (metadata.google.internal), where calls without a key are
/// usual and so silent: only claimed, it says nothing of an address that is not known as that service's.
bool is_hollow(const Resolved& out, const catalog::Endpoint& endpoint, const SocketAddress& remote,
               const Catalog& catalog) {
  return out.destination.claimed && endpoint.region == "local" && endpoint.anonymous == catalog::Anonymous::kCommon &&
         !catalog.is_metadata_address(remote);
}

}  // namespace

Resolved resolve(const Called& called, const Instance& caller, Names& names, const Catalog& catalog) {
  Resolved out;
  const SocketAddress remote = target_of(called);
  out.destination.address = base::address_text(remote);
  out.destination.port = remote.port;
  const PayloadEvent* payload = called.payload;
  out.unnamed = unnamed_by(payload);
  if (payload != nullptr && payload->protocol == PayloadEvent::Protocol::kHttp) out.path = payload->path;
  // Never taken for the user: who stands behind it is not seen here.
  if (caller.program != nullptr && caller.program->relay && caller.process)
    out.via = "relay " + std::string(base::base_name(caller.process->exe));
  const std::vector<std::string> own = Names::own(caller, remote);
  Name name = name_of_payload(payload);
  const Name asked = name_of_payload(called.tunnel);
  const bool proxied = !asked.host.empty() && !base::is_address(asked.host);
  if (called.tunnel != nullptr) out.via = "proxy " + base::address_and_port(called.remote);
  if (proxied) {
    // What is said through the tunnel must not be meant for somebody else.
    out.contradiction = !name.host.empty() && !agree(asked.host, name.host, catalog);
    name = asked;
  } else if (!name.host.empty()) {
    out.contradiction = contradicts(name.host, own, out.destination, catalog) || payload->ech;
  }
  // A claimed name that says nothing, at an address that the process itself asked for under a name that does: that
  // name, and the contradiction.
  if (out.contradiction && !catalog.match_host(name.host) &&
      catalog.match_host(own.empty() ? std::string() : own.front()))
    name = {};
  const bool claimed = !name.host.empty();
  const std::string dns = !own.empty() ? own.front() : names.of_namespace(called.net_ns, remote, called.time_ns);
  Destination to = out.destination;
  to.host = claimed ? name.host : dns;
  const auto binding = proxied ? std::nullopt : bound_by_environment(to, caller, catalog);
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
  if (binding) note_variable(out, *binding);
  out.destination.claimed =
      claimed && !binding && (proxied || is_only_claimed(name.host, !own.empty(), dns, out, catalog));
  out.destination.host = name.host;
  out.destination.name_source = name.source;
  out.destination.ambiguous = out.contradiction;
  // No catalog knows the hosts that people log in to: the host stands in for the service.
  out.ssh = !called.udp && (out.destination.port == kSshPort ||
                            (payload != nullptr && payload->protocol == PayloadEvent::Protocol::kSsh));
  if (out.ssh) {
    if (const auto endpoint = catalog.match_port(kSshPort)) describe(out, *endpoint);
    out.destination.provider = "ssh";
    out.destination.service = name.host.empty() ? out.destination.address : name.host;
    return out;
  }
  // Who knows more goes first: a name of the catalog; a variable, which says what its host is, whatever it is called; a
  // port, which says the protocol only (a database).
  const auto endpoint = name.host.empty() ? std::nullopt : catalog.match_host(name.host);
  if (endpoint && !is_hollow(out, *endpoint, called.remote, catalog)) {
    describe(out, *endpoint);
    out.local_name = claimed && !proxied && !binding && is_local(remote);
  } else if (binding) {
    describe(out, binding->endpoint);
  } else if (const auto service = called.udp ? std::nullopt : catalog.match_port(out.destination.port)) {
    describe(out, *service);
  }
  out.harmless = !out.known && (is_name_server(called) || catalog.is_metadata_address(called.remote));
  return out;
}

bool is_host(const Resolved& resolved, std::string_view host) {
  return address_among(host, resolved.destination).has_value();
}

// A host of one's own (a cluster, a registry) is in no catalog: the file that the key came from says what it is. So
// does a file whose key could not be read: the use is not silent then, and the mark keeps it from being sure.
bool name_by_file(Resolved& resolved, const Instance& caller, const Catalog& catalog) {
  Destination& to = resolved.destination;
  // What its variables say may have become known since it connected.
  if (const auto bound =
          to.name_source == NameSource::kConnectProxy ? std::nullopt : bound_by_environment(to, caller, catalog)) {
    if (to.host.empty()) to.host = bound->host;
    note_variable(resolved, *bound);
    describe(resolved, bound->endpoint);
    return true;
  }
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
  if (resolved.ssh) return true;
  // A key in a URL is for that URL's host.
  if (key.slot.from == From::kEnvironment && !key.host.empty()) return is_host(resolved, key.host);
  if (!resolved.kinds.empty()) return true;
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
      if ((file != nullptr && is_there(file->provider)) || (told != nullptr && is_there(told->provider))) return true;
      return std::ranges::any_of(holder.doubts.told_places, [&](const ToldPlace& place) {
        const catalog::File* what = catalog.file(place.file);
        return what != nullptr && is_there(what->provider) && names_path(place.path, key.slot.place);
      });
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
