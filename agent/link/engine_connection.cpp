// SPDX-License-Identifier: Apache-2.0
// Sockets: connects, first payloads, byte counts; and what a metadata service or a local broker hands out.
#include <algorithm>

#include "agent/base/host.h"
#include "agent/link/engine.h"

namespace keytrail::link {
namespace {

constexpr std::uint16_t kHttpsPort = 443;

}  // namespace

ConnectionRef* Engine::connection_of(std::uint64_t cookie) {
  ConnectionRef* known = connections_.find(cookie);
  return known != nullptr ? known : datagrams_.find(cookie);
}

Engine::Done Engine::on_connect(const ConnectEvent& event, const EventHead& head, const ProcessRef& who) {
  // Questions to a name server are no uses, and their answers come as events of their own.
  if (event.udp && event.remote.port != kHttpsPort) return Done::kAbsorbed;
  const auto [slot, fresh] = (event.udp ? datagrams_ : connections_).get(event.cookie);
  // A socket connects again after a failure, and a datagram socket as often as it likes; what was judged stays with the old one.
  auto connection = std::make_shared<Connection>();
  connection->remote = event.remote;
  connection->net_ns = event.net_ns;
  connection->udp = event.udp;
  connection->connected_ns = head.time_ns;
  connection->connector = instance_of(head.who, who);
  // The first payload of a TCP connection may be handed over with its connect (fast open): the same connection, seen twice.
  if (!fresh && *slot && (*slot)->started && (*slot)->remote == event.remote) return Done::kAbsorbed;
  *slot = std::move(connection);
  return Done::kAbsorbed;
}

void Engine::touch(Connection& connection, std::uint64_t time_ns) {
  if (!connection.use) return;
  const std::uint64_t sent = connection.sent - std::min(connection.sent, connection.reported_sent);
  const std::uint64_t received = connection.received - std::min(connection.received, connection.reported_received);
  if (sent == 0 && received == 0) return;
  connection.reported_sent = connection.sent;
  connection.reported_received = connection.received;
  UseTouch out{*connection.use};
  out.use.connections = 0;
  out.use.requests.reset();
  out.use.bytes_sent = sent;
  out.use.bytes_received = received;
  // The close of a connection that was idle is not activity; only bytes that left are.
  if (sent != 0) out.use.last_ns = std::max(out.use.last_ns, clock_.to_wall(time_ns));
  touches_.push_back(std::move(out));
}

Engine::Done Engine::on_socket(const SocketEvent& event, const EventHead& head) {
  ConnectionRef* known = connection_of(event.cookie);
  if (known == nullptr || !*known) return Done::kAbsorbed;
  const ConnectionRef connection = *known;
  connection->sent = std::max(connection->sent, event.bytes_sent);
  connection->received = std::max(connection->received, event.bytes_received);
  if (event.state == SocketState::kEstablished) return Done::kAbsorbed;
  Done done = Done::kAbsorbed;
  const std::uint64_t active_ns =
      event.state == SocketState::kSample ? head.time_ns - std::min(head.time_ns, event.idle_ms * 1'000'000UL) : head.time_ns;
  if (event.state == SocketState::kFailed) {
    connection->failed = connection->closed = true;
  } else {
    connection->closed = event.state == SocketState::kClosed;
    touch(*connection, active_ns);
    // Its payload was not seen (name family not armed, opened before the agent, QUIC), but bytes left: it was used.
    if (!connection->started && event.bytes_sent > 0 && connection->connector) {
      connection->started = true;
      done = start_use(connection, connection->connector, nullptr, head.time_ns, head.from_ring);
    }
  }
  if (connection->closed) {
    connections_.erase(event.cookie);
    datagrams_.erase(event.cookie);
    judge_ready(last_event_ns_);
  }
  return done;
}

Engine::Done Engine::on_payload(const PayloadEvent& event, const EventHead& head, const ProcessRef& who) {
  ConnectionRef* known = connection_of(event.cookie);
  if (known == nullptr || !*known) {
    ++counters_["payloads_without_connection"];
    return Done::kAbsorbed;
  }
  const ConnectionRef connection = *known;
  // A use belongs to the process that wrote, not to the one that connected.
  InstanceRef caller = instance_of(head.who, who);
  if (!caller) caller = connection->connector;
  if (!caller) return Done::kAbsorbed;
  if (catalog_.is_metadata_address(connection->remote)) {
    connection->started = true;
    return on_metadata(event, *connection, caller, head.time_ns);
  }
  if (connection->started) return Done::kAbsorbed;
  connection->started = true;
  // Relatives of the metadata service on loopback and elsewhere share their address with anything: the request decides.
  if (event.protocol == PayloadEvent::Protocol::kHttp && catalog_.match_metadata(connection->remote, event.name, event.path)) {
    return on_metadata(event, *connection, caller, head.time_ns);
  }
  return start_use(connection, caller, &event, head.time_ns, head.from_ring);
}

Engine::Done Engine::on_metadata(const PayloadEvent& event, const Connection& connection, const InstanceRef& caller,
                                 std::uint64_t time_ns) {
  if (event.protocol != PayloadEvent::Protocol::kHttp) return Done::kAbsorbed;
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
  Held* held = hold(caller, std::move(what), How::kDirect);
  return held != nullptr && announce(*caller, *held) ? Done::kRecorded : Done::kAbsorbed;
}

Engine::Done Engine::on_unix(const UnixConnectEvent& event, const EventHead& head, const ProcessRef& who) {
  const InstanceRef caller = instance_of(head.who, who);
  if (!caller) return Done::kAbsorbed;
  const catalog::LocalSocket socket = catalog_.match_socket(event.path);
  if (socket.use == catalog::SocketUse::kHarmless) return Done::kAbsorbed;
  if (socket.use == catalog::SocketUse::kUnclassified) {
    if (caller->doubts.broker_ns == 0) caller->doubts.broker_ns = head.time_ns;
    if (caller->synced) mark_dirty(caller);
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
  Held* held = hold(caller, std::move(what), How::kDirect);
  return held != nullptr && announce(*caller, *held) ? Done::kRecorded : Done::kAbsorbed;
}

Engine::Done Engine::start_use(const ConnectionRef& connection, const InstanceRef& caller, const PayloadEvent* payload,
                               std::uint64_t time_ns, bool from_ring) {
  if (connection->udp && connection->remote.port != kHttpsPort) return Done::kAbsorbed;
  const Called called{connection->remote, connection->net_ns, connection->udp, time_ns, payload};
  HeldUse use{connection, caller, resolve(called, *caller, names_, catalog_), time_ns, 0, from_ring};
  if (!use.where.known && !connection->udp && base::is_loopback(connection->remote)) {
    caller->doubts.note_local_talk(connection->remote, time_ns);
    if (caller->synced) mark_dirty(caller);
  }
  use.late = use.where.ssh || (caller->program != nullptr && caller->program->late_key);
  // A key file, also one that is being read, may say that its entry is for this host.
  const bool may_be_named = !use.where.known && !connection->udp &&
                            (use.late || !caller->pending.empty() ||
                             std::ranges::any_of(caller->holdings, [](const Held& held) { return !held.what->host.empty(); }) ||
                             std::ranges::any_of(caller->doubts.unidentified, [](const Unidentified& mark) { return !mark.host.empty(); }));
  if (!use.where.takes_keys && !may_be_named) return Done::kAbsorbed;
  use.deadline_ns = time_ns + (use.late ? options_.hold_late_ms : options_.hold_use_ms) * 1'000'000U;
  if (held_uses_.size() >= options_.max_held_uses) {
    ++counters_["held_uses_over_bound"];
    HeldUse oldest = std::move(held_uses_.front());
    held_uses_.pop_front();
    judge_use(oldest, last_event_ns_);
  }
  ++caller->held_uses;
  // The common case waits for nothing, and walks no list.
  if (caller->held_uses == 1 && is_ready(use, last_event_ns_)) {
    judge_use(use, last_event_ns_);
  } else {
    held_uses_.push_back(std::move(use));
  }
  return Done::kLater;
}

}  // namespace keytrail::link
