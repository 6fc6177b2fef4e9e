// SPDX-License-Identifier: Apache-2.0
// Uses: holds an exchange until what its process opened before is examined, weighs it, makes its row, and notes what an
// issuer may have given. Owns the uses that wait. Called by Connections (an exchange, bytes), Opens and Environments
// (an answer), Engine (ticks, exits). One thread.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <utility>

#include "agent/base/fair_queue.h"
#include "agent/catalog/catalog.h"
#include "agent/link/candidates.h"
#include "agent/link/exchange.h"
#include "agent/link/holders.h"
#include "agent/link/places.h"

namespace keytrail::link {

class HostNames;

class Uses {
 public:
  Uses(const LinkOptions& options, const catalog::Catalog& catalog, const Clock& clock, const Watch& watch,
       KeyIndex& index, Holders& holders, HostNames& hosts, Outbox& outbox)
      : options_(options),
        catalog_(catalog),
        clock_(clock),
        watch_(watch),
        index_(index),
        holders_(holders),
        hosts_(hosts),
        outbox_(outbox),
        places_(options.max_place_owners, options.max_places, options.places_s),
        shares_(options.max_held_uses) {}

  /// The kernel's time goes on: what waits is weighed as of the newest event.
  void advance(std::uint64_t time_ns) { now_ns_ = std::max(now_ns_, time_ns); }
  /// An exchange with a destination: weighed at once, or held. kAbsorbed when it cannot become a use.
  Done start(const ConnectionRef& connection, const ExchangeRef& exchange, Resolved where, bool from_ring);
  /// Bytes that a connection moved since the last report belong to its latest use.
  void touch(Connection& connection, std::uint64_t time_ns);
  /// Weighs what waits for nothing any more, as of the newest event or of a tick.
  void weigh_ready() { weigh_ready(now_ns_); }
  void weigh_ready(std::uint64_t now_ns) { weigh_waiting(now_ns, false); }
  /// The same for one process: its end, and that of its connection, change nothing for others.
  void weigh_ready_of(const Instance& caller);
  /// Weighs all, as it stands.
  void finish(std::uint64_t now_ns) { weigh_waiting(now_ns, true); }
  [[nodiscard]] std::size_t waiting() const { return held_.size(); }
  /// When the oldest of those that wait happened, ns since boot; 0 = none waits.
  [[nodiscard]] std::uint64_t oldest_ns() const;

 private:
  /// A use whose evidence waits for examinations.
  struct HeldUse {
    ConnectionRef connection;
    ExchangeRef exchange;
    Resolved where;
    std::uint64_t deadline_ns = 0;
    bool from_ring = false;
    bool late = false;  ///< the caller reads its key after it connected: weighed at the end of connection or process
    std::uint64_t number = 0;  ///< in the order in which they came
    base::FairShares::Share share;
  };

  [[nodiscard]] bool is_ready(const HeldUse& use, std::uint64_t now_ns) const;
  /// Holds it back; its caller's share of what is held back is bounded.
  void hold(HeldUse use);
  /// It waits no longer; `at` is the one behind it then.
  HeldUse release(std::list<HeldUse>::iterator& at);
  void weigh_waiting(std::uint64_t now_ns, bool all);
  void weigh_one(HeldUse& use, std::uint64_t now_ns);
  [[nodiscard]] Verdict verdict_of(const HeldUse& use, std::uint64_t now_ns);
  /// What holders call and nobody knows: the first places of each are told apart, the others are one.
  void bound(Destination& to, Verdict& verdict, const Exchange& exchange);
  /// The holdings behind a verdict are news by now, and the first was used.
  void note_used(const HeldUse& use, const Verdict& verdict);
  [[nodiscard]] UseRow row_of(const HeldUse& use, const Verdict& verdict) const;
  void note_issued(const HeldUse& use, const Verdict& verdict);
  /// A place that hands out keys for none was called, and what it was asked for is not seen.
  void note_handed_out(const HeldUse& use);
  void settle(const HeldUse& use, Fate fate);

  const LinkOptions& options_;
  const catalog::Catalog& catalog_;
  const Clock& clock_;
  const Watch& watch_;
  KeyIndex& index_;
  Holders& holders_;
  HostNames& hosts_;
  Outbox& outbox_;
  Places places_;
  std::uint64_t now_ns_ = 0;
  base::FairShares shares_;
  std::list<HeldUse> held_;
  std::uint64_t last_number_ = 0;
  /// The same by caller and number: who has too many is not searched for among all.
  std::map<std::pair<const Instance*, std::uint64_t>, std::list<HeldUse>::iterator> of_caller_;
};

}  // namespace keytrail::link
