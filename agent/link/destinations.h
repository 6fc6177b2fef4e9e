// SPDX-License-Identifier: Apache-2.0
// What a connection calls: its best name, that name's provenance, and whether it takes keys. Pure but for the memory of
// names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/link/instance.h"
#include "agent/link/names.h"
#include "keytrail/destination.h"
#include "keytrail/event.h"

namespace keytrail::link {

/// What is asked: a connection and its first request, if that was seen.
struct Called {
  SocketAddress remote;
  std::uint32_t net_ns = 0;
  bool udp = false;
  std::uint64_t time_ns = 0;
  const PayloadEvent* payload = nullptr;
  const PayloadEvent* tunnel = nullptr;  ///< what a proxy was asked for before that
};

struct Resolved {
  Destination destination;
  catalog::Endpoint endpoint;  ///< of the catalog, or made from the binding or the port
  bool known = false;          ///< a destination that the catalog, the environment or the port names
  bool takes_keys = false;
  bool ssh = false;
  bool contradiction = false;  ///< two names contradict, or the address is shared by names the process asked for
  bool local_name = false;     ///< claimed is a name that the catalog knows, at a loopback or link-local address
  bool harmless = false;       ///< nobody knows it, and no key goes there: a name server, a metadata service
  /// "proxy ADDRESS:PORT" for a tunnel (CONNECT, SOCKS); "relay NAME" where the caller carries others' requests.
  std::string via;
  std::string_view named_by;   ///< provider of the caller's variable that names it (VAULT_ADDR), or ""
  std::string_view hands_out;  ///< kind of key that is handed out there, as that variable says; or ""
  std::string hands_out_at;    ///< at this path of it, where the variable is a whole URL; or ""
  std::string path;            ///< of the request, where it was readable
  std::string_view unnamed;    ///< why what was sent first names nobody; "" where it does
  /// Takes exactly these: a key file that names the host, of a service that the catalog does not know.
  std::vector<std::string> kinds;
};

[[nodiscard]] Resolved resolve(const Called& called, const Instance& caller, Names& names,
                               const catalog::Catalog& catalog);

/// Whether "host" or "host:port", as a file or variable says it, is the destination: by its name or its address. Of a
/// list ("a:27017,b:27017") one must be.
[[nodiscard]] bool is_host(const Resolved& resolved, std::string_view host);

/// For a host that nobody else knows: the caller read a file whose entry says that it is for this host, with its key or
/// (a kubeconfig with a plugin) without one. False when it did not.
bool name_by_file(Resolved& resolved, const Instance& caller, const catalog::Catalog& catalog);

/// Whether a key that is accepted there is the destination's own: by its kind, by the place that it comes from (the
/// token of a pod in AWS's volume), or because its entry names the host. A key of another service, or of none in
/// particular (a password, some token), may be meant for another place.
[[nodiscard]] bool is_tied(const Resolved& resolved, const HeldKey& key, const Instance& holder,
                           const catalog::Catalog& catalog);

/// Does this destination take keys of this kind?
[[nodiscard]] bool accepts(const Resolved& resolved, std::string_view kind, const catalog::Catalog& catalog);

}  // namespace keytrail::link
