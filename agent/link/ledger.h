// SPDX-License-Identifier: Apache-2.0
// What was given up (a bound, a cut, a drop, a loss), summed: one entry for each cause and what it can concern (family,
// workload, kinds of key), the first at once and then every five seconds. Each becomes a gap row, and coverage counts
// nothing else. Pure. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace keytrail::link {

struct GivenUp {
  std::string cause;               ///< "holdings_over_bound", "arguments_cut" …
  std::string family;              ///< hook family, or empty
  std::string scope;               ///< the workload's name; empty: several, or the whole node
  std::string detail;              ///< see GapRow
  std::vector<std::string> kinds;  ///< of key; empty: any
  std::uint64_t count = 0;
  std::uint64_t first_ns = 0, last_ns = 0;  ///< ns since boot, ends included
};

class Ledger {
 public:
  static constexpr std::uint64_t kEveryNs = 5'000'000'000;

  /// `max_entries`: causes times workloads that are told apart; the workloads of more are not named.
  explicit Ledger(std::size_t max_entries = 256) : max_entries_(max_entries) {}

  /// `what`: between first_ns and last_ns.
  void give_up(GivenUp what);
  /// What is to be told by now; everything with `all`.
  [[nodiscard]] std::vector<GivenUp> take(std::uint64_t now_ns, bool all = false);
  /// The oldest that is not told yet, ns since boot; 0 = all is.
  [[nodiscard]] std::uint64_t oldest_ns() const;
  /// How many that are.
  [[nodiscard]] std::uint64_t untold() const;

 private:
  struct Entry {
    std::uint64_t count = 0, first_ns = 0, last_ns = 0;
    std::uint64_t next_ns = 0;  ///< when it may be told of
  };
  /// Cause, family, scope, detail, kinds.
  using Name = std::tuple<std::string, std::string, std::string, std::string, std::vector<std::string>>;

  std::size_t max_entries_;
  std::map<Name, Entry> entries_;
};

}  // namespace keytrail::link
