// SPDX-License-Identifier: Apache-2.0
// From the keys a process holds to the evidence of one use. Pure: the same facts give the same verdict.
#pragma once

#include <string>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/link/closed_world.h"
#include "agent/link/destinations.h"
#include "agent/link/instance.h"
#include "agent/link/key_index.h"
#include "agent/link/request_seen.h"
#include "keytrail/row.h"

namespace keytrail::link {

/// One use to be weighed.
struct Question {
  const Instance& caller;
  const Resolved& where;
  WorldFacts world;  ///< gaps, armed families, times; the rest is filled from caller and destination
  SocketAddress remote;
  /// The protocol connects first and reads its key then (ssh): the clause on old connections says nothing.
  bool key_after_connect = false;
  const RequestSeen* request = nullptr;  ///< of the exchange; null where it is not readable
};

struct Verdict {
  Evidence evidence = Evidence::kUnattributed;
  Reason reason = Reason::kNoKeySeen;
  std::string detail;
  bool silent = false;          ///< no key, and calls without any are normal there, or nobody knows the place: no use
  std::vector<Candidate> keys;  ///< best first, at most kMaxCandidates
  std::vector<std::shared_ptr<const HeldKey>> held;  ///< the holding behind each of `keys`
};

inline constexpr std::size_t kMaxCandidates = 16;

/// By what the request carries, where that was seen: a key that the caller holds is `confirmed`; a key that it is not
/// known to hold leaves nothing sure; no key is no use. Else by what the caller holds.
[[nodiscard]] Verdict weigh(Question question, KeyIndex& index, const catalog::Catalog& catalog);

}  // namespace keytrail::link
