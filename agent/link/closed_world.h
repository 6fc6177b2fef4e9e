// SPDX-License-Identifier: Apache-2.0
// The closed world of a process instance (agent/README.md, "Evidence"): may a key that fits be called the key that was
// used? One pure function over plain facts. All clauses must hold; the first that fails is the reason shown.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "agent/link/gaps.h"
#include "keytrail/event.h"
#include "keytrail/evidence.h"

namespace keytrail::link {

/// What is known at the moment of the use. Times are ns since boot; 0 = never.
struct WorldFacts {
  bool exec_seen = false;          ///< the exec of its program was seen, or of the process it was forked from
  std::uint64_t life_from_ns = 0;  ///< that exec
  std::uint64_t use_ns = 0;        ///< first payload
  std::span<const Gap> gaps;
  CgroupOwners cgroups;      ///< in whose it was
  std::uint64_t gap_ns = 0;  ///< the first that an earlier worker knew of in its life
  std::array<bool, kFamilies> armed{};
  std::uint64_t broker_ns = 0;     ///< first talk to an unclassified local broker
  bool relay_or_hub = false;       ///< what the program is for says that the key in question may not be the one
  std::uint64_t connected_ns = 0;  ///< the connection's start
  std::uint64_t acquired_ns = 0;   ///< of the key in question; 0 = no key in question
  /// First open of a key file, of a kind accepted here, that could not be identified.
  std::uint64_t unidentified_ns = 0;
  std::uint64_t cut_ns = 0;       ///< first time that something of the program was more than is read or kept
  bool names_contradict = false;  ///< two names of the destination contradict, or its address is shared
  bool local_name = false;        ///< a name of elsewhere is claimed at an address of this machine
};

/// Keeps the earlier of two times, where 0 is never.
constexpr void earliest(std::uint64_t& into, std::uint64_t time) {
  if (into == 0 || time < into) into = time > 0 ? time : 1;
}

/// nullopt when all clauses hold, else the first that fails, in the order of evidence.h.
[[nodiscard]] std::optional<Reason> closed_world(const WorldFacts& facts);

}  // namespace keytrail::link
