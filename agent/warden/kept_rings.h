// SPDX-License-Identifier: Apache-2.0
// Rings that outlive this process. systemd keeps descriptors for a service (FileDescriptorStoreMax=) and hands them to
// its next start (sd_pid_notify_with_fds(3), sd_listen_fds(3); by hand): a warden that is killed leaves the rings and
// the counters there, the next one has its programs go on in them, and the worker reads on where the last one stopped.
// Programs and links are not kept: nothing watches while no warden is there. A warden that ends in order takes them out
// again: its worker has read all. Thread: the warden's only one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/warden/loader.h"

namespace keytrail::warden {

/// A descriptor that systemd handed over, and the name that it has there.
struct StoredFd {
  std::string name;
  base::UniqueFd fd;
};

using SessionId = std::array<std::uint8_t, 16>;

/// Rings and counters of the warden before this one. What they really are the loader looks at before it uses them.
struct KeptRings {
  base::UniqueFd high, low, counters, cgroups_lost, reported;
  SessionId session{};  ///< drawn when they were made
  [[nodiscard]] KeptFds fds() const {
    return {.high = high.get(),
            .low = low.get(),
            .counters = counters.get(),
            .cgroups_lost = cgroups_lost.get(),
            .reported = reported.get()};
  }
};

/// What was handed over: one whole set of rings of this version, if there is one, and about all else a sentence each.
struct Stored {
  std::optional<KeptRings> rings;
  std::vector<std::string> refused;
  std::vector<std::string> stale;  ///< names of this program's that systemd should forget
};

/// How many descriptors were handed over, by $LISTEN_PID and $LISTEN_FDS: those from 3 on. 0 when they are not meant
/// for process `pid`, are not numbers or more than 64; null pointers: not set.
[[nodiscard]] std::size_t count_handed(const char* listen_pid, const char* listen_fds, std::int64_t pid);
/// The first `count` names of $LISTEN_FDNAMES (null: not set); those that are missing are "unknown".
[[nodiscard]] std::vector<std::string> names_handed(const char* listen_fdnames, std::size_t count);
/// Under which name a map ("high", "low", "counters", "cgroups_lost", "reported") of this session is kept: program,
/// version, event layout, map, session.
[[nodiscard]] std::string kept_name(std::string_view map, const SessionId& session);
/// Sorts out what was handed over. What is not chosen is closed.
[[nodiscard]] Stored choose_rings(std::vector<StoredFd> handed);

/// Takes what systemd handed over; the environment loses the variables, and every other descriptor but the standard
/// ones is closed: a lock or a pipe that the caller left open must not live as long as the agent. Call once, before
/// anything is opened.
[[nodiscard]] std::vector<StoredFd> take_handed();

/// Puts them into systemd's store. False where there is none.
bool keep_rings(const KeptFds& maps, const SessionId& session);
/// Takes them out again.
void forget_rings(const SessionId& session);
/// The same for one name.
void forget_kept(const std::string& name);

}  // namespace keytrail::warden
