// SPDX-License-Identifier: Apache-2.0
#include "agent/restart.h"

#include <algorithm>

namespace keytrail {
namespace {

constexpr const char* kWorkerRestart = "worker_restart";
constexpr const char* kAgentRestart = "agent_restart";

std::string lost_words(const Beginning& at) { return at.lost ? std::to_string(*at.lost) : "an unknown number"; }

std::string of_rings(const Beginning& at) {
  return "The warden did not end in order. Of what waited in its rings " + std::to_string(at.read_after) +
         " events were read after all, " + lost_words(at) +
         " were lost with the worker; what else there was until new hooks were armed nobody knows.";
}

/// Until when the history knows what was seen.
std::uint64_t stored(const Beginning& at) { return at.settled_ns != 0 ? at.settled_ns : at.ended_ns; }

/// What went with the worker before this one.
RestartGap of_worker(const Beginning& at, std::uint64_t from_ns) {
  RestartGap out{from_ns, at.now_ns, kWorkerRestart, at.lost, {}};
  if (out.lost) *out.lost += at.untold;
  if (at.untold != 0)
    out.text = lost_words(at) + (at.lost ? " events" : " of events") + " were lost, and the account of " +
               std::to_string(at.untold) + " things that had been given up.";
  return out;
}

/// The first worker that stores something after a warden was killed whose rings go on.
Restart after_killed_warden(const Beginning& at) {
  Restart out{.gaps = {}, .watched_ns = at.settled_ns != 0 ? at.settled_ns : at.armed_ns};
  const std::uint64_t stored_until = stored(at);
  // A heartbeat after what is stored may be of a warden in between, which was killed, too: before it no hook was there.
  const std::uint64_t blind_ns = std::min({at.beat_ns != 0 ? at.beat_ns : stored_until, stored_until, at.armed_ns});
  if (at.later_life) out.gaps.push_back(of_worker(at, stored_until));
  out.gaps.push_back({blind_ns, at.armed_ns, kAgentRestart, std::nullopt, of_rings(at)});
  return out;
}

}  // namespace

Restart begin_again(const Beginning& at) {
  if (at.resumed && at.same_rings && stored(at) < at.armed_ns) return after_killed_warden(at);
  Restart out{.gaps = {}, .watched_ns = at.armed_ns};
  if (at.has_past && !at.same_rings) {
    out.gaps.push_back({std::min(stored(at), at.armed_ns), at.armed_ns, kAgentRestart, std::nullopt, {}});
  }
  if (at.same_rings || at.later_life) {
    out.watched_ns = std::max(at.armed_ns, at.settled_ns);
    out.gaps.push_back(of_worker(at, out.watched_ns));
  }
  return out;
}

}  // namespace keytrail
