// SPDX-License-Identifier: Apache-2.0
#include "agent/link/closed_world.h"

namespace keytrail::link {

std::optional<Reason> closed_world(const WorldFacts& facts) {
  if (!facts.exec_seen) return Reason::kExecNotSeen;
  if (overlaps(facts.gaps, facts.life_from_ns, facts.use_ns)) return Reason::kGapInLife;
  for (const Family family : {Family::kExec, Family::kOpen, Family::kConnect, Family::kName}) {
    if (!facts.armed[static_cast<std::size_t>(family)]) return Reason::kHooksNotArmed;
  }
  if (facts.broker_ns != 0 && facts.broker_ns <= facts.use_ns) return Reason::kLocalBroker;
  if (facts.relay_or_hub) return Reason::kRelayOrHub;
  if (facts.acquired_ns != 0 && facts.connected_ns < facts.acquired_ns) return Reason::kOpenedBeforeKey;
  if (facts.unidentified_ns != 0 && facts.unidentified_ns <= facts.use_ns) return Reason::kUnidentifiedFile;
  if (facts.names_contradict) return Reason::kNamesContradict;
  return std::nullopt;
}

}  // namespace keytrail::link
