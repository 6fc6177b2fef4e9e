// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/peer.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace keytrail::serve {
namespace {

/// "NSpid:" of /proc/PID/status lists the pid in each namespace from ours down: more than one = a namespace below ours
/// (proc(5)).
bool in_nested_namespace(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("NSpid:")) return std::ranges::count(line, '\t') > 1;
  }
  return false;
}

}  // namespace

Result<Peer> peer_of(int fd) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return fail(Error::Code::kSystem, fmt::format("getsockopt(SO_PEERCRED): {}", std::strerror(errno)));
  }
  Peer peer{credentials.pid, credentials.uid, credentials.gid, {}, false};
  peer.groups.resize(64);
  for (;;) {
    length = static_cast<socklen_t>(peer.groups.size() * sizeof(gid_t));
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &length) == 0) break;
    if (errno != ERANGE || length > 65536 * sizeof(gid_t)) {
      length = 0;  // no supplementary groups known: only uid and primary group count
      break;
    }
    peer.groups.resize(length / sizeof(gid_t));
  }
  peer.groups.resize(length / sizeof(gid_t));
  peer.nested = peer.pid > 0 && in_nested_namespace(peer.pid);
  return peer;
}

std::string refusal(const Peer& peer, const PeerRule& rule) {
  if (peer.nested) return fmt::format("refused pid {}: it asks from inside a container; ask from the host", peer.pid);
  if (peer.uid == 0 || (rule.own_uid && peer.uid == *rule.own_uid)) return {};
  const bool member = rule.group && *rule.group != 0 &&
                      (peer.gid == *rule.group || std::ranges::find(peer.groups, *rule.group) != peer.groups.end());
  if (member) return {};
  const std::string group = rule.group && *rule.group != 0 ? group_name(*rule.group) : "keytrail";
  return fmt::format("refused uid {} ({}): needs root or group {}", peer.uid, user_name(peer.uid), group);
}

std::string user_name(uid_t uid) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : std::to_string(uid);
}

std::string group_name(gid_t gid) {
  std::array<char, 4096> buffer{};
  group entry{};
  group* found = nullptr;
  ::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->gr_name : std::to_string(gid);
}

std::optional<gid_t> socket_group(int fd) {
  sockaddr_un address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0 || address.sun_family != AF_UNIX ||
      address.sun_path[0] == '\0') {
    return std::nullopt;
  }
  const std::string path(address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path));
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return info.st_gid;
}

}  // namespace keytrail::serve
