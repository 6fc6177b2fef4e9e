// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/kept_rings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "agent/warden/notify.h"
#include "keytrail/event_abi.h"

namespace keytrail::warden {
namespace {

constexpr std::array<std::string_view, 5> kKeptMaps{"high", "low", "counters", "cgroups_lost", "reported"};
constexpr std::string_view kOurs = "keytrail-";
constexpr std::size_t kMostHanded = 64;
constexpr int kFirstHanded = 3;

/// Beginning of the names of what this version can go on with.
std::string kept_prefix() {
  return std::string(kOurs).append(KEYTRAIL_VERSION "-").append(std::to_string(KT_ABI_VERSION)).append("-");
}

template <typename Number>
std::optional<Number> number(const char* text) {
  if (text == nullptr) return std::nullopt;
  const std::string_view digits(text);
  Number out = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (error != std::errc() || stop != digits.data() + digits.size()) return std::nullopt;
  return out;
}

std::string hex(const SessionId& session) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : session)
    out.append({kDigits[byte >> 4U], kDigits[byte & 15U]});
  return out;
}

std::optional<SessionId> session_of(std::string_view text) {
  SessionId out{};
  if (text.size() != 2 * out.size()) return std::nullopt;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const char* const at = text.data() + 2 * i;
    if (const auto [stop, error] = std::from_chars(at, at + 2, out[i], 16); error != std::errc() || stop != at + 2)
      return std::nullopt;
  }
  return out;
}

struct KeptName {
  std::size_t map = 0;  ///< index into kKeptMaps
  SessionId session{};
};

std::optional<KeptName> read_name(std::string_view name) {
  const std::string prefix = kept_prefix();
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  for (std::size_t i = 0; i < kKeptMaps.size(); ++i) {
    if (!name.starts_with(kKeptMaps[i]) || name.substr(kKeptMaps[i].size(), 1) != "-") continue;
    const auto session = session_of(name.substr(kKeptMaps[i].size() + 1));
    return session ? std::optional(KeptName{i, *session}) : std::nullopt;
  }
  return std::nullopt;
}

void close_from(int first) {
  if (syscall(SYS_close_range, static_cast<unsigned>(first), ~0U, 0U) == 0) return;  // since Linux 5.9
  for (int fd = first; fd < 1024; ++fd)
    close(fd);
}

}  // namespace

std::size_t count_handed(const char* listen_pid, const char* listen_fds, std::int64_t pid) {
  const auto meant = number<std::int64_t>(listen_pid);
  const auto count = number<std::size_t>(listen_fds);
  return meant && *meant == pid && count && *count <= kMostHanded ? *count : 0;
}

std::vector<std::string> names_handed(const char* listen_fdnames, std::size_t count) {
  std::vector<std::string> out;
  std::string_view rest(listen_fdnames == nullptr ? "" : listen_fdnames);
  while (out.size() < count) {
    const std::string_view name = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    out.emplace_back(name.empty() ? "unknown" : name);
  }
  return out;
}

std::string kept_name(std::string_view map, const SessionId& session) {
  return kept_prefix().append(map).append("-").append(hex(session));
}

Stored choose_rings(std::vector<StoredFd> handed) {
  std::map<SessionId, std::array<StoredFd*, kKeptMaps.size()>> sets;
  for (StoredFd& one : handed) {
    const auto name = read_name(one.name);
    if (name && sets[name->session][name->map] == nullptr) sets[name->session][name->map] = &one;
  }
  std::erase_if(sets, [](const auto& set) { return std::ranges::find(set.second, nullptr) != set.second.end(); });
  Stored out;
  if (sets.size() == 1) {  // of several nobody knows which was the last
    auto& [session, maps] = *sets.begin();
    out.rings = KeptRings{.high = std::move(maps[0]->fd),
                          .low = std::move(maps[1]->fd),
                          .counters = std::move(maps[2]->fd),
                          .cgroups_lost = std::move(maps[3]->fd),
                          .reported = std::move(maps[4]->fd),
                          .session = session};
  }
  for (const StoredFd& one : handed) {
    if (!one.fd) continue;
    out.refused.push_back("systemd handed over a descriptor \"" + one.name +
                          "\" that is not of a whole set of rings of this version: it is closed.");
    if (one.name.starts_with(kOurs)) out.stale.push_back(one.name);
  }
  return out;
}

std::vector<StoredFd> take_handed() {
  const std::size_t count = count_handed(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getpid());
  std::vector<std::string> names = names_handed(getenv("LISTEN_FDNAMES"), count);
  for (const char* variable : {"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "FDSTORE"})
    unsetenv(variable);
  close_from(kFirstHanded + static_cast<int>(count));
  std::vector<StoredFd> out;
  for (std::size_t i = 0; i < count; ++i) {
    const int fd = kFirstHanded + static_cast<int>(i);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) out.push_back({std::move(names[i]), base::UniqueFd(fd)});
  }
  return out;
}

// Without FDPOLL=0 systemd looks whether a descriptor has failed, and an array of BPF says that it has.
bool keep_rings(const KeptFds& maps, const SessionId& session) {
  const std::array<int, kKeptMaps.size()> all{maps.high, maps.low, maps.counters, maps.cgroups_lost, maps.reported};
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!notify_with("FDSTORE=1\nFDPOLL=0\nFDNAME=" + kept_name(kKeptMaps[i], session), {&all[i], 1})) return false;
  }
  return true;
}

void forget_rings(const SessionId& session) {
  for (const std::string_view map : kKeptMaps)
    forget_kept(kept_name(map, session));
}

void forget_kept(const std::string& name) { notify("FDSTOREREMOVE=1\nFDNAME=" + name); }

}  // namespace keytrail::warden
