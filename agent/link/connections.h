// SPDX-License-Identifier: Apache-2.0
// Sockets and names: connects, payloads, byte counts, DNS answers; what a metadata service or a local broker hands out.
// Owns connections, their exchanges, and the names that were asked for; hands exchanges with a destination to Uses.
// Called by Engine. One thread.
#pragma once

#include <cstdint>

#include "agent/base/lru_map.h"
#include "agent/catalog/catalog.h"
#include "agent/link/exchange.h"
#include "agent/link/holders.h"
#include "agent/link/names.h"
#include "agent/link/processes.h"
#include "agent/link/uses.h"

namespace keytrail::link {

class Connections {
 public:
  Connections(const LinkOptions& options, const catalog::Catalog& catalog, Holders& holders, Processes& processes,
              Uses& uses, Outbox& outbox)
      : catalog_(catalog),
        holders_(holders),
        processes_(processes),
        uses_(uses),
        outbox_(outbox),
        connections_(options.max_connections),
        datagrams_(options.max_datagrams),
        names_(options.max_names, options.dns_name_s) {}

  Done on_connect(const ConnectEvent& event, const EventHead& head, const ProcessRef& who);
  Done on_socket(const SocketEvent& event, const EventHead& head);
  Done on_payload(const PayloadEvent& event, const EventHead& head, const ProcessRef& who);
  Done on_unix(const UnixConnectEvent& event, const EventHead& head, const ProcessRef& who);
  void on_dns(const DnsEvent& event, const EventHead& head, const ProcessRef& who);

  /// Into status.
  void count(std::map<std::string, std::uint64_t>& counters) const;

 private:
  [[nodiscard]] ConnectionRef find(std::uint64_t cookie);
  Done on_metadata(const PayloadEvent& event, Connection& connection, const InstanceRef& caller, std::uint64_t time_ns);
  /// The service has answered (`status`, 0 = not seen): the key that was asked for is the asker's, if it is one.
  Done on_metadata_answer(Connection& connection, std::uint16_t status);
  /// Bytes left a connection that was weighed before its writer got its newest key: they may carry that.
  void weigh_again(const ConnectionRef& connection, std::uint64_t time_ns);
  Done start_use(const ConnectionRef& connection, const ExchangeRef& exchange, const PayloadEvent* payload,
                 bool from_ring);

  const catalog::Catalog& catalog_;
  Holders& holders_;
  Processes& processes_;
  Uses& uses_;
  Outbox& outbox_;
  base::LruMap<std::uint64_t, ConnectionRef> connections_;  ///< TCP, by socket cookie
  base::LruMap<std::uint64_t, ConnectionRef> datagrams_;    ///< UDP to 443
  Names names_;
};

}  // namespace keytrail::link
