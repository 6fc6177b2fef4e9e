// SPDX-License-Identifier: Apache-2.0
#include "agent/link/connections.h"

#include <algorithm>
#include <utility>

#include "agent/base/host.h"
#include "agent/base/program_name.h"

namespace keytrail::link {
namespace {

/// Puts keys into a key agent; whoever else connects there borrows them.
constexpr std::string_view kLoader = "ssh-add";
/// No handshake's rest is longer, the client's certificates included.
constexpr std::uint64_t kMostOfHandshake = 16'384;
/// A ClientHello of QUIC whose rest does not come is a use without its name.
constexpr std::uint64_t kUnfinishedNs = 1'000'000'000;
/// What answers later than this, or never, does not hold up what is settled.
constexpr std::uint64_t kMostOfAnswerNs = 5'000'000'000;

bool is_readable(const PayloadEvent& event) { return event.protocol == PayloadEvent::Protocol::kHttp; }

bool asks_for_tunnel(const PayloadEvent& event) {
  return event.protocol == PayloadEvent::Protocol::kHttpConnect || event.protocol == PayloadEvent::Protocol::kSocks;
}

/// Who connects there takes its key for that. Datagrams go to logs and statistics, too, and connecting such a socket
/// only asks for the way there (getaddrinfo).
bool is_call(const Connection& connection) {
  constexpr std::uint16_t kHttpsPort = 443;
  return !connection.udp || connection.remote.port == kHttpsPort;
}

std::optional<RequestSeen> request_of(const PayloadEvent& event) {
  if (!is_readable(event)) return std::nullopt;
  return RequestSeen{.method = event.method, .host = event.name, .path = event.path};
}

}  // namespace

ConnectionRef Connections::find(std::uint64_t cookie) {
  const std::string name = std::to_string(cookie);
  const ConnectionRef* known = connections_.find(name);
  if (known == nullptr) known = datagrams_.find(name);
  return known != nullptr ? *known : nullptr;
}

Done Connections::on_connect(const ConnectEvent& event, const EventHead& head, const ProcessRef& who) {
  if (is_question(event)) return Done::kAbsorbed;
  InstanceRef connector = processes_.instance_of(head.who, who);
  const std::string owner(connector ? workload_id(*connector) : std::string_view());
  now_ns_ = head.time_ns;
  const auto [slot, fresh] = (event.udp ? datagrams_ : connections_).get(owner, std::to_string(event.cookie));
  // A socket connects again after a failure, and a datagram socket as often as it likes; what was weighed stays with
  // the old one.
  auto connection = std::make_shared<Connection>();
  connection->remote = event.remote;
  connection->net_ns = event.net_ns;
  connection->udp = event.udp;
  connection->connected_ns = head.time_ns;
  connection->connector = std::move(connector);
  if (connection->connector && is_call(*connection)) connection->connector->called = true;
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
    if (connection->connector && is_call(*connection)) connection->connector->called = true;
    // Its payload was not seen (name family not armed, opened before the agent, QUIC), but bytes left: it was used. A
    // handshake alone is no use.
    const std::uint64_t no_request = connection->preface + (connection->hello ? kMostOfHandshake : 0);
    if (!connection->used && event.bytes_sent > no_request && connection->connector) {
      const ExchangeRef exchange = connection->open(connection->connector, head.time_ns, std::nullopt);
      done = start_use(connection, exchange, connection->hello ? &*connection->hello : nullptr, head.from_ring);
    }
    if (connection->asked && event.bytes_received > 0) (void)metadata_.on_answer(*connection, 0);
  }
  if (connection->closed) {
    (connection->udp ? datagrams_ : connections_).erase(std::to_string(event.cookie));
    for (const ExchangeRef& exchange : connection->exchanges) {
      if (exchange->writer->held_uses > 0) uses_.weigh_ready_of(*exchange->writer);
    }
  }
  return done;
}

Done Connections::on_payload(const PayloadEvent& event, const EventHead& head, const ProcessRef& who) {
  const ConnectionRef connection = find(event.cookie);
  if (!connection) {
    if (unknown_.get(event.cookie).second)
      outbox_.give_up("payloads_without_connection", to_string(Family::kName), workload_name(who), 1, head.time_ns);
    return Done::kAbsorbed;
  }
  if (event.protocol == PayloadEvent::Protocol::kStatus) return metadata_.on_answer(*connection, event.status);
  InstanceRef caller = processes_.instance_of(head.who, who);
  if (!caller) caller = connection->connector;
  if (!caller) return Done::kAbsorbed;
  if (is_call(*connection)) caller->called = true;
  // A use needs a request: what a tunnel leads to and what a handshake is called is kept until bytes beyond it leave.
  const bool asks = asks_for_tunnel(event), greets = event.protocol == PayloadEvent::Protocol::kTls;
  if (asks || greets) {
    connection->upgraded = connection->used && !connection->hello;
    (asks ? connection->tunnel : connection->hello) = event;
    connection->preface += event.length;
    if (asks || !event.beyond) return Done::kAbsorbed;
  }
  // The hello of QUIC may take several datagrams.
  if (event.protocol == PayloadEvent::Protocol::kQuic && event.truncated && !connection->used) {
    const bool waits = connection->hello.has_value();
    connection->hello = event;
    if (waits) return Done::kAbsorbed;
    if (unfinished_.size() < kMaxUnfinished) {
      unfinished_.push_back({connection, head.time_ns});
      return Done::kAbsorbed;
    }
  }
  // A later payload is another exchange where it is a request, or the first behind TLS that began late; else it
  // belongs to the one that stands for the connection.
  if (connection->used && !is_readable(event) && !std::exchange(connection->upgraded, false)) return Done::kAbsorbed;
  const ExchangeRef exchange = connection->open(caller, head.time_ns, request_of(event));
  const bool of_tls = event.protocol == PayloadEvent::Protocol::kTlsData;
  return start_use(connection, exchange, of_tls ? (connection->hello ? &*connection->hello : nullptr) : &event,
                   head.from_ring);
}

void Connections::on_tick(std::uint64_t now_ns) {
  std::erase_if(unfinished_, [&](const Unfinished& one) {
    const ConnectionRef& connection = one.connection;
    if (!connection->used && one.since_ns + kUnfinishedNs > now_ns) return false;
    if (!connection->used && connection->connector) {
      const ExchangeRef exchange = connection->open(connection->connector, one.since_ns, std::nullopt);
      (void)start_use(connection, exchange, &*connection->hello, false);
    }
    return true;
  });
  const auto waits = [&](const AskedFor& one) {
    const auto connection = one.connection.lock();
    return one.since_ns + kMostOfAnswerNs > now_ns && connection && !connection->closed && connection->asked &&
           connection->asked->since_ns == one.since_ns;
  };
  while (!asked_.empty() && !waits(asked_.front()))
    asked_.pop_front();
}

std::uint64_t Connections::oldest_ns() const {
  const std::uint64_t asked = asked_.empty() ? 0 : asked_.front().since_ns;
  const std::uint64_t unfinished = unfinished_.empty() ? 0 : unfinished_.front().since_ns;
  return asked == 0 || (unfinished != 0 && unfinished < asked) ? unfinished : asked;
}

void Connections::weigh_again(const ConnectionRef& connection, std::uint64_t time_ns) {
  if (connection->exchanges.empty() || connection->udp) return;
  const Exchange& last = *connection->exchanges.back();
  const InstanceRef writer = last.writer;
  // Its end and its connection's are told within microseconds, in either order.
  const bool over = !writer->alive && !connection->closed;
  if (last.request || last.time_ns >= time_ns || over) return;
  const auto is_new = [&](const Held& held) {
    return held.how < How::kHelper && held.what->since_ns > last.time_ns && held.what->since_ns <= time_ns;
  };
  // What it read since may still be looked at: a program that uploads a file ends right after.
  const auto is_read = [&](const ExaminationRef& one) {
    return one->time_ns > last.time_ns && one->time_ns <= time_ns;
  };
  if (std::ranges::none_of(writer->holdings, is_new) && std::ranges::none_of(writer->pending, is_read)) return;
  const ExchangeRef exchange = connection->open(writer, time_ns, std::nullopt);
  exchange->again = true;
  (void)start_use(connection, exchange, connection->hello ? &*connection->hello : nullptr, false);
}

Done Connections::on_unix(const UnixConnectEvent& event, const EventHead& head, const ProcessRef& who) {
  const InstanceRef caller = processes_.instance_of(head.who, who);
  if (!caller) return Done::kAbsorbed;
  catalog::LocalSocket socket = catalog_.match_socket(event.path);
  if (socket.use == catalog::SocketUse::kUnclassified) {
    const std::string_view kind = kind_of_named_socket(caller->env(), catalog_, event.path);
    if (!kind.empty()) socket = {.use = catalog::SocketUse::kBroker, .kind = kind};
  }
  if (socket.use == catalog::SocketUse::kHarmless) return Done::kAbsorbed;
  if (socket.use == catalog::SocketUse::kUnclassified) {
    if (caller->doubts.broker_ns == 0) caller->doubts.broker_ns = head.time_ns;
    holders_.mark_doubts(caller);
    return Done::kAbsorbed;
  }
  if (caller->process && base::base_name(caller->process->exe) == kLoader) {
    auto& loaders = *loaders_.get(event.path).first;
    if (loaders.size() == kMaxLoaders) loaders.erase(loaders.begin());
    loaders.push_back(caller);
    return Done::kAbsorbed;
  }
  bool recorded = false;
  for (Key& key : keys_at(event.path, socket.kind)) {
    auto what = std::make_shared<HeldKey>();
    what->key = std::move(key);
    what->slot = {From::kBroker, event.path, {}};
    what->since_ns = head.time_ns;
    what->broker = true;
    recorded = holders_.take(caller, what, How::kDirect) || recorded;
  }
  return recorded ? Done::kRecorded : Done::kAbsorbed;
}

std::vector<Key> Connections::keys_at(const std::string& socket, std::string_view kind) {
  std::vector<Key> keys;
  if (const auto* loaders = loaders_.find(socket)) {
    for (const InstanceRef& loader : *loaders) {
      for (const Held& held : loader->holdings) {
        const Key& key = held.what->key;
        const bool read = held.how == How::kDirect || held.how == How::kHelper;  // or `cat key | ssh-add -`
        const bool loaded = held.what->slot.from == From::kFile && read && key.kind == kind;
        if (loaded && std::ranges::find(keys, key.id, &Key::id) == keys.end()) keys.push_back(key);
      }
    }
  }
  if (!keys.empty()) return keys;
  Key key;
  key.kind = kind;
  key.id = key.kind + "@" + socket;
  if (const catalog::Kind* known = catalog_.kind(kind)) {
    key.key_class = known->key_class;
    key.lifetime = known->lifetime;
  }
  return {std::move(key)};
}

void Connections::on_dns(const DnsEvent& event, const EventHead& head, const ProcessRef& who) {
  const InstanceRef asker = processes_.instance_of(head.who, who);
  if (names_.learn(event, head.time_ns, asker.get())) holders_.mark_doubts(asker);
}

Done Connections::start_use(const ConnectionRef& connection, const ExchangeRef& exchange, const PayloadEvent* payload,
                            bool from_ring) {
  if (connection->udp && connection->remote.port == kDnsPort) return Done::kAbsorbed;
  Instance& caller = *exchange->writer;
  const PayloadEvent* tunnel = connection->tunnel ? &*connection->tunnel : nullptr;
  const Called called{connection->remote, connection->net_ns, connection->udp, exchange->time_ns, payload, tunnel};
  Resolved where = resolve(called, caller, names_, catalog_);
  caller.called = caller.called || where.takes_keys;
  Done done = Done::kAbsorbed;
  if (metadata_.is_one(*connection, where, payload)) {
    done = metadata_.on_request(payload, where, *connection, *exchange);
    if (connection->asked && asked_.size() < kMaxAsked) asked_.push_back({connection, exchange->time_ns});
    if (where.hands_out.empty() && metadata_.is_there(*connection, payload)) return done;
  }
  if ((!where.known || where.local_name) && !connection->udp && base::is_loopback(connection->remote)) {
    caller.doubts.note_local_talk(connection->remote, exchange->time_ns);
    holders_.mark_doubts(exchange->writer);
  }
  if (where.destination.claimed && (!caller.holdings.empty() || !caller.pending.empty()))
    hosts_.look(exchange->writer, exchange->time_ns);
  const Done started = uses_.start(connection, exchange, std::move(where), from_ring);
  return started == Done::kAbsorbed ? done : started;
}

void Connections::count(std::map<std::string, std::uint64_t>& counters) const {
  counters["connections"] = connections_.size();
  counters["connections_forgotten"] = connections_.evicted();
  counters["datagrams"] = datagrams_.size();
  counters["datagrams_forgotten"] = datagrams_.evicted();
}

}  // namespace keytrail::link
