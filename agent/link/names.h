// SPDX-License-Identifier: Apache-2.0
// Names that were asked for: by the same process, else by another of the same network namespace. Bounded. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/lru_map.h"
#include "agent/catalog/catalog.h"
#include "agent/link/instance.h"
#include "keytrail/event.h"

namespace keytrail::link {

/// Whether two names are of one owner, as far as names can tell: equal; or one endpoint of the catalog (provider,
/// service, region), which is the provider's own for at least one of them, or the same customer's for both; or one
/// registrable domain, unless the catalog knows them as two endpoints or that domain as the provider's; or one is short
/// for the other. Two tenants of a provider (below elb.amazonaws.com, blob.core.windows.net, okta.com, github.io) do
/// not agree, and no name of an open endpoint (anyone's service) does with the provider's own. Names as
/// base::host_text().
[[nodiscard]] bool agree(std::string_view a, std::string_view b, const catalog::Catalog& catalog);

class Names {
 public:
  explicit Names(std::size_t limit, std::uint64_t believed_s)
      : by_namespace_(limit), believed_ns_(believed_s * 1'000'000'000U) {}

  /// True when that is news to the asker.
  bool learn(const DnsEvent& event, std::uint64_t time_ns, Instance* asker);
  /// Names that this process itself was told for the address, newest first.
  [[nodiscard]] static std::vector<std::string> own(const Instance& instance, const SocketAddress& address);
  /// The newest name that any process of the namespace was told for the address before `time_ns`; empty when none.
  [[nodiscard]] std::string of_namespace(std::uint32_t net_ns, const SocketAddress& address, std::uint64_t time_ns);

 private:
  struct Known {
    std::string name;
    std::uint64_t time_ns = 0;
  };
  base::LruMap<std::string, Known> by_namespace_;
  std::uint64_t believed_ns_;
};

}  // namespace keytrail::link
