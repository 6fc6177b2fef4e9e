// SPDX-License-Identifier: Apache-2.0
// Who is at the other end of the socket, as the kernel says, and whether it may ask.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "keytrail/result.h"

namespace keytrail::serve {

/// The PID namespace of the peer, beside ours.
enum class PeerPlace : std::uint8_t {
  kOurs,
  kBelow,    ///< a container that was handed the socket
  kUnknown,  ///< it has ended, or its namespace is not below ours
};

struct Peer {
  pid_t pid = 0;  ///< at connect(); 0 when it lives in a PID namespace that is not below ours
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  ///< supplementary
  PeerPlace place = PeerPlace::kUnknown;
  std::string program;  ///< name of its executable; in () as it calls itself, where that is not ours to see; or empty
};

struct PeerRule {
  std::optional<uid_t> own_uid;  ///< of the agent itself; none where it runs as nobody, which is not its own
  std::optional<gid_t> group;    ///< the socket's group; root's group admits nobody
};

/// The peer's credentials at the time of connect(): SO_PEERCRED and SO_PEERGROUPS (unix(7)). Seen through user
/// namespaces as host ids. Its place and program by SO_PEERPIDFD (Linux 6.5), which no reuse of the pid can mislead;
/// before, by its pid.
[[nodiscard]] Result<Peer> peer_of(int fd);
/// Empty when the peer may ask, else the sentence it gets.
[[nodiscard]] std::string refusal(const Peer& peer, const PeerRule& rule);
/// "uid=0 pid=12 program=curl": who asks, for the log.
[[nodiscard]] std::string who(const Peer& peer);
/// Name of a user or group, or its number.
[[nodiscard]] std::string user_name(uid_t uid);
[[nodiscard]] std::string group_name(gid_t gid);
/// The group of a bound Unix socket's file, by its own name; nullopt for an unnamed one.
[[nodiscard]] std::optional<gid_t> socket_group(int fd);

}  // namespace keytrail::serve
