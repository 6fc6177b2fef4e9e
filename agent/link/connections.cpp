// SPDX-License-Identifier: Apache-2.0
#include "agent/link/connections.h"

#include <algorithm>

#include "agent/base/host.h"

namespace keytrail::link {
namespace {

constexpr std::uint16_t kHttpsPort = 443;

bool is_readable(const PayloadEvent& event) { return event.protocol == PayloadEvent::Protocol::kHttp; }

std::optional<RequestSeen> request_of(const PayloadEvent& event) {
  if (!is_readable(event)) return std::nullopt;
  return RequestSeen{.method = event.method, .host = event.name, .path = event.path};
}

}  // namespace

ConnectionRef Connections::find(std::uint64_t cookie) {
  const ConnectionRef* known = connections_.find(cookie);
  if (known == nullptr) known = datagrams_.find(cookie);
  return known != nullptr ? *known : nullptr;
}

Done Connections::on_connect(const ConnectEvent& event, const EventHead& head, const ProcessRef& who) {
  // Questions to a name server are no uses, and their answers come as events of their own.
  if (event.udp && event.remote.port != kHttpsPort) return Done::kAbsorbed;
  const auto [slot, fresh] = (event.udp ? datagrams_ : connections_).get(event.cookie);
  // A socket connects again after a failure, and a datagram socket as often as it likes; what was weighed stays with
  // the old one.
  auto connection = std::make_shared<Connection>();
  connection->remote = event.remote;
  connection->net_ns = event.net_ns;
  connection->udp = event.udp;
  connection->connected_ns = head.time_ns;
  connection->connector = processes_.instance_of(head.who, who);
  // The first payload of a TCP connection may be handed over with its connect (fast open): the same connection, seen
  // twice.
  if (!fresh && *slot && (*slot)->used && (*slot)->remote == event.remote) return Done::kAbsorbed;
  *slot = std::move(connection);
  return Done::kAbsorbed;
}

Done Connections::on_socket(const SocketEvent& event, const EventHead& head) {
  const ConnectionRef connection = find(event.cookie);
  if (!connection) return Done::kAbsorbed;
  connection->sent = std::max(connection->sent, event.bytes_sent);
  connection->received = std::max(connection->received, event.bytes_received);
  if (event.state == SocketState::kEstablished) return Done::kAbsorbed;
  Done done = Done::kAbsorbed;
  const std::uint64_t active_ns = event.state == SocketState::kSample
                                      ? head.time_ns - std::min(head.time_ns, event.idle_ms * 1'000'000UL)
                                      : head.time_ns;
  if (event.state == SocketState::kFailed) {
    connection->failed = connection->closed = true;
  } else {
    connection->closed = event.state == SocketState::kClosed;
    uses_.touch(*connection, active_ns);
    // Its payload was not seen (name family not armed, opened before the agent, QUIC), but bytes left: it was used.
    if (!connection->used && event.bytes_sent > 0 && connection->connector) {
      const ExchangeRef exchange = connection->open(connection->connector, head.time_ns, std::nullopt);
      done = start_use(connection, exchange, nullptr, head.from_ring);
    }
  }
  if (connection->closed) {
    connections_.erase(event.cookie);
    datagrams_.erase(event.cookie);
    uses_.weigh_ready();
  }
  return done;
}

Done Connections::on_payload(const PayloadEvent& event, const EventHead& head, const ProcessRef& who) {
  const ConnectionRef connection = find(event.cookie);
  if (!connection) {
    outbox_.count("payloads_without_connection");
    return Done::kAbsorbed;
  }
  InstanceRef caller = processes_.instance_of(head.who, who);
  if (!caller) caller = connection->connector;
  if (!caller) return Done::kAbsorbed;
  // A later payload is another exchange where it is a request; else it belongs to the one that stands for the
  // connection.
  if (connection->used && !is_readable(event)) return Done::kAbsorbed;
  const ExchangeRef exchange = connection->open(caller, head.time_ns, request_of(event));
  // Relatives of the metadata service on loopback and elsewhere share their address with anything: the request decides.
  const bool metadata = catalog_.is_metadata_address(connection->remote) ||
                        (is_readable(event) && catalog_.match_metadata(connection->remote, event.name, event.path));
  return metadata ? on_metadata(event, *connection, caller, head.time_ns)
                  : start_use(connection, exchange, &event, head.from_ring);
}

Done Connections::on_metadata(const PayloadEvent& event, const Connection& connection, const InstanceRef& caller,
                              std::uint64_t time_ns) {
  if (!is_readable(event)) return Done::kAbsorbed;
  const auto issue = catalog_.match_metadata(connection.remote, event.name, event.path);
  if (!issue || !issue->key) return Done::kAbsorbed;
  auto what = std::make_shared<HeldKey>();
  Key& key = what->key;
  key.kind = issue->kind;
  key.lifetime = Lifetime::kShortLived;
  if (const catalog::Kind* kind = catalog_.kind(issue->kind)) key.key_class = kind->key_class;
  const std::string role = issue->role.empty() ? std::string("role") : "role/" + issue->role;
  key.id = key.kind + "@" + role;
  key.parent = role;
  what->slot = {From::kMetadata, base::address_text(connection.remote) + " " + event.path, {}};
  what->since_ns = time_ns;
  Held* held = holders_.hold(caller, std::move(what), How::kDirect);
  return held != nullptr && holders_.announce(*caller, *held) ? Done::kRecorded : Done::kAbsorbed;
}

Done Connections::on_unix(const UnixConnectEvent& event, const EventHead& head, const ProcessRef& who) {
  const InstanceRef caller = processes_.instance_of(head.who, who);
  if (!caller) return Done::kAbsorbed;
  const catalog::LocalSocket socket = catalog_.match_socket(event.path);
  if (socket.use == catalog::SocketUse::kHarmless) return Done::kAbsorbed;
  if (socket.use == catalog::SocketUse::kUnclassified) {
    if (caller->doubts.broker_ns == 0) caller->doubts.broker_ns = head.time_ns;
    holders_.mark_doubts(caller);
    return Done::kAbsorbed;
  }
  auto what = std::make_shared<HeldKey>();
  what->key.kind = socket.kind;
  what->key.id = what->key.kind + "@" + event.path;
  if (const catalog::Kind* kind = catalog_.kind(socket.kind)) {
    what->key.key_class = kind->key_class;
    what->key.lifetime = kind->lifetime;
  }
  what->slot = {From::kBroker, event.path, {}};
  what->since_ns = head.time_ns;
  what->broker = true;
  Held* held = holders_.hold(caller, std::move(what), How::kDirect);
  return held != nullptr && holders_.announce(*caller, *held) ? Done::kRecorded : Done::kAbsorbed;
}

void Connections::on_dns(const DnsEvent& event, const EventHead& head, const ProcessRef& who) {
  const InstanceRef asker = processes_.instance_of(head.who, who);
  if (names_.learn(event, head.time_ns, asker.get())) holders_.mark_doubts(asker);
}

Done Connections::start_use(const ConnectionRef& connection, const ExchangeRef& exchange, const PayloadEvent* payload,
                            bool from_ring) {
  if (connection->udp && connection->remote.port != kHttpsPort) return Done::kAbsorbed;
  Instance& caller = *exchange->writer;
  const Called called{connection->remote, connection->net_ns, connection->udp, exchange->time_ns, payload};
  Resolved where = resolve(called, caller, names_, catalog_);
  if (!where.known && !connection->udp && base::is_loopback(connection->remote)) {
    caller.doubts.note_local_talk(connection->remote, exchange->time_ns);
    holders_.mark_doubts(exchange->writer);
  }
  return uses_.start(connection, exchange, std::move(where), from_ring);
}

void Connections::count(std::map<std::string, std::uint64_t>& counters) const {
  counters["connections"] = connections_.size();
  counters["connections_forgotten"] = connections_.evicted();
  counters["datagrams"] = datagrams_.size();
  counters["datagrams_forgotten"] = datagrams_.evicted();
}

}  // namespace keytrail::link
