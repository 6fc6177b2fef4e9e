// SPDX-License-Identifier: Apache-2.0
#include "agent/link/closed_world.h"

namespace keytrail::link {

// Each clause is a way in which a key that nobody saw could have been used instead of the one that fits:
// - the exec was not seen: a key may have come with its environment or arguments;
// - a gap in its life: the read of another key may be among what was lost;
// - hooks not armed: the same, all the time. Lifetime and request do not count: without the one ends are missed and
//   without the other certainty, but neither brings a key;
// - a local broker handed over who knows what. What it says after the use cannot have been used, here as below;
// - a relay or hub, a bulk reader: it calls for others, or reads keys that it never uses; of what it holds itself (a
//   hub's own kinds, the variables of a backup) that says nothing;
// - the connection is older than the key: it was opened for another one (unless the program is known to read late);
// - a file that could not be identified may hold a key that fits;
// - what was cut (arguments, variables, holdings) may have had a key that fits;
// - the names contradict: then it is not certain what was called, nor which keys fit;
// - a name of elsewhere at an address of this machine: somebody here answers to it.
std::optional<Reason> closed_world(const WorldFacts& facts) {
  if (!facts.exec_seen) return Reason::kExecNotSeen;
  const bool earlier_gap = facts.gap_ns != 0 && facts.gap_ns <= facts.use_ns;
  if (earlier_gap || overlaps(facts.gaps, facts.life_from_ns, facts.use_ns, facts.cgroups)) return Reason::kGapInLife;
  for (const Family family : {Family::kExec, Family::kOpen, Family::kConnect, Family::kName}) {
    if (!facts.armed[static_cast<std::size_t>(family)]) return Reason::kHooksNotArmed;
  }
  if (facts.broker_ns != 0 && facts.broker_ns <= facts.use_ns) return Reason::kLocalBroker;
  if (facts.relay_or_hub) return Reason::kRelayOrHub;
  if (facts.acquired_ns != 0 && facts.connected_ns < facts.acquired_ns) return Reason::kOpenedBeforeKey;
  if (facts.unidentified_ns != 0 && facts.unidentified_ns <= facts.use_ns) return Reason::kUnidentifiedFile;
  if (facts.cut_ns != 0 && facts.cut_ns <= facts.use_ns) return Reason::kNotSeenWhole;
  if (facts.names_contradict) return Reason::kNamesContradict;
  if (facts.local_name) return Reason::kNameAtLocalAddress;
  return std::nullopt;
}

}  // namespace keytrail::link
