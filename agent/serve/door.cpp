// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/door.h"

#include <unistd.h>

namespace keytrail::serve {

Door::Door(const ServeOptions& options)
    : peer_of_(options.peer_of),
      group_(options.group),
      connections_(options.max_connections, options.connections_of_one, options.first_ones),
      reserve_(options.reserve, (options.reserve + 1) / 2) {
  if (!peer_of_) peer_of_ = peer_of;
}

void Door::opens_to(int listen_fd) {
  // Many services run as nobody (the kernel's overflow uid): it stands for no one.
  constexpr uid_t kNobody = 65534;
  rule_ = {::geteuid() == kNobody ? std::nullopt : std::optional(::geteuid()),
           group_ ? group_ : socket_group(listen_fd)};
}

Visit Door::let_in(int fd) {
  Visit visit;
  const Result<Peer> peer = peer_of_(fd);
  visit.refused = peer ? refusal(*peer, rule_) : peer.error().message;
  visit.peer = peer.value_or(Peer{});
  if (!visit.refused.empty()) {
    visit.place = strangers_.take(visit.peer.uid);
    return visit;
  }
  visit.place = connections_.take(visit.peer.uid);
  visit.reserved = !visit.place;
  if (visit.reserved) visit.place = reserve_.take(visit.peer.uid);
  return visit;
}

}  // namespace keytrail::serve
