// SPDX-License-Identifier: Apache-2.0
// What leaves link: rows, uses and touches of the next batch, the fate of each event of a ring, and the counters for
// status. Every owner writes into it; Engine empties it by take(). One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "agent/link/gaps.h"
#include "agent/link/ledger.h"
#include "agent/link/link.h"

namespace keytrail::link {

/// What became of an event. kLater: whoever took it settles it, when its examination or use is settled, or has done so.
enum class Done : std::uint8_t { kAbsorbed, kRecorded, kLater };

class Outbox {
 public:
  Outbox(const Clock& clock, Link::FateCall fate) : clock_(clock), fate_(std::move(fate)) {}

  /// Once for each event; only those of a ring are accounted.
  void settle(bool from_ring, Fate fate, const std::string& reason = {}) {
    if (from_ring && fate_) fate_(fate, reason);
  }
  /// A row of something that happened at `time_ns` (ns since boot).
  void emit(std::uint64_t time_ns, AcquisitionRow row);
  void emit(const Gap& gap, std::string cause, std::string text = {});
  /// Something that may have mattered was given up: counted under `cause`, and told as gaps (see Ledger). `scope`: the
  /// name of the workload that it concerns, or empty; `time_ns`: ns since boot.
  void give_up(std::string cause, std::string family, std::string scope, std::uint64_t count, std::uint64_t time_ns) {
    give_up(GivenUp{std::move(cause), std::move(family), std::move(scope), {}, {}, count, time_ns, time_ns});
  }
  void give_up(GivenUp what) {
    counters_[what.cause] += what.count;
    ledger_.give_up(std::move(what));
  }
  /// Events were lost within a period (ns since boot), and counted by whoever lost them: told like what is given up.
  void lose(std::string cause, std::string family, std::string scope, std::uint64_t count, std::uint64_t from_ns,
            std::uint64_t to_ns) {
    ledger_.give_up({std::move(cause), std::move(family), std::move(scope), {}, {}, count, from_ns, to_ns});
  }
  /// Makes rows of what was given up. Everything with `all`.
  void tell_given_up(std::uint64_t now_ns, bool all = false);
  /// The oldest that was given up and is no row yet, ns since boot; 0 = all is.
  [[nodiscard]] std::uint64_t untold_ns() const { return ledger_.oldest_ns(); }
  /// How many that are.
  [[nodiscard]] std::uint64_t untold() const { return ledger_.untold(); }
  void emit(const UseRow& use) { out_.uses.push_back(use); }
  void emit(TokenTold told) { out_.told.push_back(std::move(told)); }
  void emit(const Child& child) { out_.children.push_back(child); }
  void emit(UseTouch touch) { out_.touches.push_back(std::move(touch)); }

  void count(const std::string& name, std::uint64_t more = 1) { counters_[name] += more; }
  [[nodiscard]] const std::map<std::string, std::uint64_t>& counters() const { return counters_; }
  [[nodiscard]] Link::Output take() { return std::exchange(out_, {}); }

 private:
  void emit(const Gap& gap, GapRow row);

  const Clock& clock_;
  const Link::FateCall fate_;
  Link::Output out_;
  Ledger ledger_;
  std::map<std::string, std::uint64_t> counters_{// all are there from the start: 0 is an answer
                                                 {"arguments_cut", 0},
                                                 {"arguments_unread", 0},
                                                 {"contents_over_budget", 0},
                                                 {"entries_unparsed", 0},
                                                 {"environments_cut", 0},
                                                 {"environments_over_bound", 0},
                                                 {"environments_unread", 0},
                                                 {"examine_overflow", 0},
                                                 {kFilesUnread, 0},
                                                 {"held_uses_over_bound", 0},
                                                 {"holdings_over_bound", 0},
                                                 {"places_over_bound", 0},
                                                 {"processes_over_bound", 0},
                                                 {"payloads_without_connection", 0},
                                                 {"rotations", 0},
                                                 {"secret_shaped_over_budget", 0}};
};

}  // namespace keytrail::link
