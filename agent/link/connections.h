// SPDX-License-Identifier: Apache-2.0
// Sockets and names: connects, payloads, byte counts, DNS answers; what a local broker hands out.
// Owns connections, their exchanges, and the names that were asked for; hands exchanges with a destination to Uses.
// Called by Engine. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fair_map.h"
#include "agent/base/lru_map.h"
#include "agent/catalog/catalog.h"
#include "agent/link/exchange.h"
#include "agent/link/holders.h"
#include "agent/link/hosts.h"
#include "agent/link/metadata.h"
#include "agent/link/names.h"
#include "agent/link/processes.h"
#include "agent/link/uses.h"

namespace keytrail::link {

class Connections {
 public:
  Connections(const LinkOptions& options, const catalog::Catalog& catalog, Holders& holders, Processes& processes,
              HostsFiles& hosts, Uses& uses, Outbox& outbox)
      : catalog_(catalog),
        holders_(holders),
        processes_(processes),
        hosts_(hosts),
        uses_(uses),
        outbox_(outbox),
        metadata_(catalog, holders),
        connections_(options.max_connections),
        datagrams_(options.max_datagrams),
        names_(options.max_names, options.dns_name_s) {
    connections_.on_evict([this](const std::string&, const ConnectionRef& one) {
      const ProcessRef who = one && one->connector ? one->connector->process : nullptr;
      outbox_.give_up("connections_over_bound", to_string(Family::kConnect), workload_name(who), 1, now_ns_);
    });
  }

  Done on_connect(const ConnectEvent& event, const EventHead& head, const ProcessRef& who);
  Done on_socket(const SocketEvent& event, const EventHead& head);
  Done on_payload(const PayloadEvent& event, const EventHead& head, const ProcessRef& who);
  Done on_unix(const UnixConnectEvent& event, const EventHead& head, const ProcessRef& who);
  void on_dns(const DnsEvent& event, const EventHead& head, const ProcessRef& who);
  /// What waits for the rest of its name waits no longer.
  void on_tick(std::uint64_t now_ns);
  /// When the oldest request happened whose answer, or the rest of whose name, is waited for, ns since boot; 0 = none.
  [[nodiscard]] std::uint64_t oldest_ns() const;
  /// Nothing waits any longer.
  void finish() { on_tick(~std::uint64_t{0}); }

  /// Into status.
  void count(std::map<std::string, std::uint64_t>& counters) const;

 private:
  [[nodiscard]] ConnectionRef find(std::uint64_t cookie);
  /// Bytes left a connection that was weighed before its writer got its newest key: they may carry that.
  void weigh_again(const ConnectionRef& connection, std::uint64_t time_ns);
  /// What a local broker hands out at this socket: the keys that were seen loaded into it, else one of this kind that
  /// nobody knows.
  [[nodiscard]] std::vector<Key> keys_at(const std::string& socket, std::string_view kind);
  Done start_use(const ConnectionRef& connection, const ExchangeRef& exchange, const PayloadEvent* payload,
                 bool from_ring);

  const catalog::Catalog& catalog_;
  Holders& holders_;
  Processes& processes_;
  HostsFiles& hosts_;
  Uses& uses_;
  Outbox& outbox_;
  Metadata metadata_;
  base::FairMap<ConnectionRef> connections_, datagrams_;  ///< TCP, UDP, by socket cookie; owner: the workload
  std::uint64_t now_ns_ = 0;                              ///< of the last connect
  static constexpr std::size_t kMaxUnfinished = 256;
  struct Unfinished {
    ConnectionRef connection;
    std::uint64_t since_ns;
  };
  std::vector<Unfinished> unfinished_;  ///< of datagrams_: a part of their ClientHello was seen
  static constexpr std::size_t kMaxAsked = 4'096;
  struct AskedFor {
    std::weak_ptr<const Connection> connection;
    std::uint64_t since_ns;
  };
  /// Requests for keys (Connection::asked), oldest first: how long they hold up what is settled is bounded.
  std::deque<AskedFor> asked_;
  base::LruMap<std::uint64_t, bool> unknown_{4'096};  ///< connections older than this worker: each is told of once
  Names names_;
  static constexpr std::size_t kMaxAgents = 256, kMaxLoaders = 16;
  /// By socket of a key agent: the ssh-add that put keys into it. Who took them out again is not seen.
  base::LruMap<std::string, std::vector<InstanceRef>> loaders_{kMaxAgents};
};

}  // namespace keytrail::link
