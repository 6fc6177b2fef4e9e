// SPDX-License-Identifier: Apache-2.0
// Who is let in: by the kernel's word of a peer, and by how many connections there are. Thread: serve's.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "agent/serve/peer.h"
#include "agent/serve/server.h"
#include "agent/serve/share.h"

namespace keytrail::serve {

/// A connection as it was let in.
struct Visit {
  Peer peer;
  std::string refused;  ///< what the peer is told instead of an answer; empty = it may ask
  Share::Taken place;
  bool reserved = false;  ///< it may ask for the status only
};

/// Must outlive the visits.
class Door {
 public:
  explicit Door(const ServeOptions& options);
  /// The listening socket: its file's group may ask, where no other is set.
  void opens_to(int listen_fd);
  /// The peer of a connection. Without a place where none is left.
  [[nodiscard]] Visit let_in(int fd);

 private:
  static constexpr std::size_t kMaxRefusedAtOnce = 8;

  std::function<Result<Peer>(int fd)> peer_of_;
  std::optional<gid_t> group_;
  PeerRule rule_;
  Share connections_, reserve_;
  Share strangers_{kMaxRefusedAtOnce, kMaxRefusedAtOnce};
};

}  // namespace keytrail::serve
