// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/peer.h"

#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

#include "agent/base/fd.h"
#include "agent/base/log.h"

namespace keytrail::serve {
namespace {

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5; newer than Debian 12's headers
#endif

/// "NSpid:" lists the pid in each namespace from ours down (proc(5)); -1 or 0 alone when it is none of them.
PeerPlace place_in(const std::string& path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("NSpid:")) continue;
    if (std::ranges::count(line, '\t') > 1) return PeerPlace::kBelow;
    return std::atoi(line.c_str() + sizeof "NSpid:") > 0 ? PeerPlace::kOurs : PeerPlace::kUnknown;
  }
  return PeerPlace::kUnknown;
}

std::string program_of(pid_t pid) {
  if (pid <= 0) return {};
  std::array<char, 4096> path{};
  const ssize_t size = ::readlink(fmt::format("/proc/{}/exe", pid).c_str(), path.data(), path.size());
  if (size > 0) {
    const std::string_view exe(path.data(), static_cast<std::size_t>(size));
    return std::string(exe.substr(exe.rfind('/') + 1));
  }
  std::string name;
  std::ifstream file(fmt::format("/proc/{}/comm", pid));
  return std::getline(file, name) ? "(" + name + ")" : "";
}

bool has_ended(int process) {
  pollfd ended{process, POLLIN, 0};
  return ::poll(&ended, 1, 0) != 0;
}

/// Fills `place` and `program`.
void look_at(int fd, Peer& peer) {
  int handle = -1;
  socklen_t length = sizeof handle;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &handle, &length) == 0) {
    const base::UniqueFd process(handle);
    peer.place = place_in(fmt::format("/proc/self/fdinfo/{}", process.get()));
    std::string program = program_of(peer.pid);
    if (!has_ended(process.get())) peer.program = std::move(program);  // else the pid may be another's by now
  } else if (errno == ENOPROTOOPT && peer.pid > 0) {                   // older than Linux 6.5
    peer.place = place_in(fmt::format("/proc/{}/status", peer.pid));
    peer.program = program_of(peer.pid);
  }
}

}  // namespace

Result<Peer> peer_of(int fd) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return fail(Error::Code::kSystem, fmt::format("getsockopt(SO_PEERCRED): {}", std::strerror(errno)));
  }
  Peer peer{.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
  look_at(fd, peer);
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
  return peer;
}

std::string refusal(const Peer& peer, const PeerRule& rule) {
  if (peer.place == PeerPlace::kBelow)
    return fmt::format("refused pid {}: it asks from inside a container; ask from the host", peer.pid);
  if (peer.place == PeerPlace::kUnknown)
    return fmt::format("refused pid {}: it has ended or lives in a PID namespace that cannot be seen from the agent's",
                       peer.pid);
  if (peer.uid == 0 || (rule.own_uid && peer.uid == *rule.own_uid)) return {};
  const bool member = rule.group && *rule.group != 0 &&
                      (peer.gid == *rule.group || std::ranges::find(peer.groups, *rule.group) != peer.groups.end());
  if (member) return {};
  const std::string group = rule.group && *rule.group != 0 ? group_name(*rule.group) : "keytrail";
  return fmt::format("refused uid {} ({}): needs root or group {}", peer.uid, user_name(peer.uid), group);
}

std::string who(const Peer& peer) {
  return fmt::format("uid={} pid={} program={}", peer.uid, peer.pid,
                     peer.program.empty() ? "?" : base::printable(peer.program));
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
