// SPDX-License-Identifier: Apache-2.0
// A connection and the exchanges on it. An exchange is one request, or the whole connection where requests are not
// readable: a first request may be anonymous, the next carry key A, and after a rotation key B. Owned by Connections;
// Uses fills in what was weighed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <ranges>
#include <vector>

#include "agent/link/instance.h"
#include "agent/link/request_seen.h"
#include "keytrail/event.h"
#include "keytrail/row.h"

namespace keytrail::link {

/// Questions to a name server are no uses, and their answers come as events of their own.
[[nodiscard]] inline bool is_question(const ConnectEvent& event) { return event.udp && event.remote.port == kDnsPort; }

struct Exchange {
  InstanceRef writer;                  ///< a use belongs to the process that wrote, not to the one that connected
  std::uint64_t time_ns = 0;           ///< of its first payload
  std::optional<RequestSeen> request;  ///< absent: nothing was readable, it stands for the connection
  bool again = false;       ///< of a connection that was weighed before: its writer got a key since, and bytes left
  bool issue_seen = false;  ///< what a metadata service hands out on it is seen, so nothing is guessed
  /// As it was told to the history, once weighed; what is learnt later revises this.
  std::shared_ptr<const UseRow> use;
};
using ExchangeRef = std::shared_ptr<Exchange>;

/// A socket, by its cookie.
struct Connection {
  static constexpr std::size_t kMaxExchanges = 16;  ///< kept; older ones can no longer be revised

  SocketAddress remote;
  std::uint32_t net_ns = 0;
  bool udp = false;
  bool counted = false;  ///< by an exchange that was weighed a use
  bool used = false;     ///< a request left it: its payloads have exchanges
  bool closed = false;
  bool failed = false;
  std::uint64_t connected_ns = 0;
  InstanceRef connector;
  std::uint64_t sent = 0, received = 0;                    ///< totals, last seen
  std::uint64_t reported_sent = 0, reported_received = 0;  ///< of these, told to the history
  std::optional<PayloadEvent> tunnel;                      ///< what it asked a proxy for; the rest goes through that
  std::optional<PayloadEvent> hello;                       ///< the ClientHello that left it
  std::uint64_t preface = 0;                               ///< bytes of these: as many are no request
  bool upgraded = false;                                   ///< TLS began after plain text that was a use
  std::vector<ExchangeRef> exchanges;                      ///< oldest first
  /// A request of a metadata service that hands out a key if it is answered with a success.
  std::shared_ptr<const HeldKey> asked;
  InstanceRef asker;

  /// The one that its bytes belong to: the newest that is a use, or nullptr.
  [[nodiscard]] const UseRow* latest_use() const {
    for (const ExchangeRef& exchange : std::views::reverse(exchanges)) {
      if (exchange->use) return exchange->use.get();
    }
    return nullptr;
  }
  ExchangeRef open(InstanceRef writer, std::uint64_t time_ns, std::optional<RequestSeen> request) {
    used = true;
    if (exchanges.size() >= kMaxExchanges) exchanges.erase(exchanges.begin());
    return exchanges.emplace_back(std::make_shared<Exchange>(
        Exchange{.writer = std::move(writer), .time_ns = time_ns, .request = std::move(request)}));
  }
};
using ConnectionRef = std::shared_ptr<Connection>;

}  // namespace keytrail::link
