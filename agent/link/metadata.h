// SPDX-License-Identifier: Apache-2.0
// What metadata services hand out: those at their known addresses, and those that a variable of the caller names
// (GCE_METADATA_HOST, AWS_CONTAINER_CREDENTIALS_FULL_URI), wherever they are. The key is its asker's once the service
// has answered. Called by Connections. One thread.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/catalog/catalog.h"
#include "agent/link/destinations.h"
#include "agent/link/exchange.h"
#include "agent/link/holders.h"

namespace keytrail::link {

class Metadata {
 public:
  Metadata(const catalog::Catalog& catalog, Holders& holders) : catalog_(catalog), holders_(holders) {}

  /// Is this such a service, or a request to one?
  [[nodiscard]] bool is_one(const Connection& connection, const Resolved& where, const PayloadEvent* request) const;
  /// Is it one by its address, so that nothing else can be there? A name alone does not say so.
  [[nodiscard]] bool is_there(const Connection& connection, const PayloadEvent* request) const;
  Done on_request(const PayloadEvent* request, const Resolved& where, Connection& connection, Exchange& exchange);
  /// The service has answered (`status`, 0 = not seen): the key that was asked for is the asker's, if it is one.
  Done on_answer(Connection& connection, std::uint16_t status);

 private:
  [[nodiscard]] std::optional<catalog::Issue> issue_of(const PayloadEvent& request, const Resolved& where,
                                                       const SocketAddress& remote) const;

  const catalog::Catalog& catalog_;
  Holders& holders_;
};

}  // namespace keytrail::link
