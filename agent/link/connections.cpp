// SPDX-License-Identifier: Apache-2.0
#include "agent/link/connections.h"

#include <algorithm>
#include <initializer_list>
#include <span>
#include <utility>

#include "agent/base/host.h"

namespace keytrail::link {
namespace {

constexpr std::uint16_t kHttpsPort = 443;
/// No handshake's rest is longer, the client's certificates included.
constexpr std::uint64_t kMostOfHandshake = 16'384;

/// The kernel side reports the answers of these (bpf/name.bpf.c, socket__is_metadata); of other places that hand out
/// keys over plain HTTP only the request is seen.
bool has_its_answers_seen(const SocketAddress& remote) {
  const auto starts = [&](std::initializer_list<std::uint8_t> bytes) {
    return std::ranges::equal(bytes, std::span(remote.address).first(bytes.size()));
  };
  return remote.v6 ? starts({0xfd, 0x00, 0x0e, 0xc2}) : starts({169, 254}) || starts({100, 100, 100, 200});
}

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
  if (!fresh && *slot && ((*slot)->used || (*slot)->hello) && (*slot)->remote == event.remote) return Done::kAbsorbed;
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
    if (connection->sent > connection->reported_sent) weigh_again(connection, active_ns);
    uses_.touch(*connection, active_ns);
    // Its payload was not seen (name family not armed, opened before the agent, QUIC), but bytes left: it was used. A
    // handshake alone is no use.
    const std::uint64_t handshake = connection->hello ? connection->hello->length + kMostOfHandshake : 0;
    if (!connection->used && event.bytes_sent > handshake && connection->connector) {
      const ExchangeRef exchange = connection->open(connection->connector, head.time_ns, std::nullopt);
      done = start_use(connection, exchange, connection->hello ? &*connection->hello : nullptr, head.from_ring);
    }
    if (connection->asked && event.bytes_received > 0) (void)on_metadata_answer(*connection, 0);
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
  if (event.protocol == PayloadEvent::Protocol::kStatus) return on_metadata_answer(*connection, event.status);
  InstanceRef caller = processes_.instance_of(head.who, who);
  if (!caller) caller = connection->connector;
  if (!caller) return Done::kAbsorbed;
  // A use needs a request: what a handshake is called is kept until bytes beyond it leave.
  if (event.protocol == PayloadEvent::Protocol::kTls && !connection->used) {
    connection->hello = event;
    if (!event.beyond) return Done::kAbsorbed;
  }
  // A later payload is another exchange where it is a request; else it belongs to the one that stands for the
  // connection.
  if (connection->used && !is_readable(event)) return Done::kAbsorbed;
  const ExchangeRef exchange = connection->open(caller, head.time_ns, request_of(event));
  // Relatives of the metadata service on loopback and elsewhere share their address with anything: the request decides.
  const bool metadata = catalog_.is_metadata_address(connection->remote) ||
                        (is_readable(event) && catalog_.match_metadata(connection->remote, event.name, event.path));
  if (metadata) return on_metadata(event, *connection, caller, head.time_ns);
  const bool of_tls = event.protocol == PayloadEvent::Protocol::kTlsData;
  return start_use(connection, exchange, of_tls ? (connection->hello ? &*connection->hello : nullptr) : &event,
                   head.from_ring);
}

void Connections::weigh_again(const ConnectionRef& connection, std::uint64_t time_ns) {
  if (connection->exchanges.empty() || connection->udp) return;
  const Exchange& last = *connection->exchanges.back();
  const InstanceRef writer = last.writer;
  if (last.request || last.time_ns >= time_ns || !writer->alive) return;
  const auto is_new = [&](const Held& held) {
    return held.how < How::kHelper && held.what->since_ns > last.time_ns && held.what->since_ns <= time_ns;
  };
  if (std::ranges::none_of(writer->holdings, is_new)) return;
  const ExchangeRef exchange = connection->open(writer, time_ns, std::nullopt);
  exchange->again = true;
  (void)start_use(connection, exchange, connection->hello ? &*connection->hello : nullptr, false);
}

Done Connections::on_metadata(const PayloadEvent& event, Connection& connection, const InstanceRef& caller,
                              std::uint64_t time_ns) {
  if (!is_readable(event) || event.method == "HEAD") return Done::kAbsorbed;
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
  connection.asked = std::move(what);
  connection.asker = caller;
  return has_its_answers_seen(connection.remote) ? Done::kAbsorbed : on_metadata_answer(connection, 0);
}

Done Connections::on_metadata_answer(Connection& connection, std::uint16_t status) {
  const auto what = std::exchange(connection.asked, nullptr);
  const InstanceRef caller = std::exchange(connection.asker, nullptr);
  const bool success = status == 0 || (status >= 200 && status < 300);
  if (!what || !caller || !success) return Done::kAbsorbed;
  Held* held = holders_.hold(caller, what, How::kDirect);
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
