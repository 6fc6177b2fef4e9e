// SPDX-License-Identifier: Apache-2.0
// Which uses become rows at once and which wait for their window: pure, no clock, no database. Used by the store on the
// writer's side. An edge's first use makes a row at once; repeats are pending until the window closes (1, 5, 15, then
// 60 minutes) and become one row. What a connection that was counted before sends meanwhile is pending too. In a window
// with calls it is part of their row; what came without any is a revision of the row before, when the window closes, or
// rides on the row of the next call: no use counts nothing. Always: edge.total = sum of its rows + edge.pending.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "keytrail/evidence.h"
#include "keytrail/row.h"

namespace keytrail::record {

inline constexpr std::size_t kMaxInstances = 16;

/// What makes two uses the same edge; numbers are dictionary ids of the normalised parts.
struct EdgeIdentity {
  std::int64_t workload = 0, program = 0, keyset = 0, destination = 0;
  Outcome outcome = Outcome::kUnknown;
  Evidence evidence = Evidence::kUnattributed;
  Reason reason = Reason::kNoKeySeen;
  auto operator<=>(const EdgeIdentity&) const = default;
};

struct EdgeIdentityHash {
  std::size_t operator()(const EdgeIdentity& id) const noexcept;
};

/// How much was seen, and when.
struct Amount {
  std::int64_t first_ns = 0, last_ns = 0;  ///< Unix ns; 0 = nothing yet
  std::uint64_t connections = 0;
  std::optional<std::uint64_t> requests;  ///< absent as soon as one use did not show them
  std::uint64_t bytes_sent = 0, bytes_received = 0;

  /// Connections, or requests on one that was counted before.
  [[nodiscard]] bool has_calls() const { return connections != 0 || requests.value_or(0) != 0; }
  [[nodiscard]] bool has_bytes() const { return bytes_sent != 0 || bytes_received != 0; }
  void add(const Amount& other);
  /// Moves `last` and the bytes, no connection.
  void touch(const Amount& other);
};

/// Who and where, of the newest use of an edge (dictionary ids of the full parts).
struct Latest {
  std::int64_t workload = 0, program = 0, keyset = 0, destination = 0;
  InstanceId instance;
  std::uint32_t uid = 0;
  std::string detail, via;
};

struct EdgeState {
  std::int64_t id = 0;  ///< 0 until it is stored
  EdgeIdentity identity;
  Latest latest;
  Amount total, pending;
  std::size_t level = 0;           ///< index of the window
  std::int64_t window_end_ns = 0;  ///< Unix ns; 0 = no window is open
  std::uint64_t last_seq = 0;
  std::vector<InstanceId> instances;  ///< newest last, at most kMaxInstances
  /// How many had to leave that list; one that comes back and leaves again counts again.
  std::uint64_t cut = 0;

  void saw(const InstanceId& instance);
};

class Coalescer {
 public:
  using Windows = std::array<std::int64_t, 4>;
  explicit Coalescer(const Windows& windows_ns) : windows_(windows_ns) {}

  /// The edge if its window is open.
  [[nodiscard]] EdgeState* find(const EdgeIdentity& identity);
  /// Takes over an edge that was loaded from the database or is new (its `id` set).
  EdgeState& adopt(EdgeState edge);
  /// Counts a use; the result, if any, is a row to append now.
  std::optional<Amount> use(EdgeState& edge, const Amount& amount, std::int64_t now_ns);
  /// Counts activity on a connection that was already counted: it opens no window and makes no row of its own.
  static void touch(EdgeState& edge, const Amount& amount);
  /// Edges whose window is over (or lies further ahead than any window: the clock was set back).
  [[nodiscard]] std::vector<EdgeState*> due(std::int64_t now_ns);
  /// The `count` edges whose windows end soonest.
  [[nodiscard]] std::vector<EdgeState*> soonest(std::size_t count);
  /// Closes the window: the result, if any, is a row to append; without calls, a revision of the row before. The next
  /// longer window opens after one with calls only, so that the next call is shown at once.
  std::optional<Amount> close(EdgeState& edge, std::int64_t now_ns);
  /// Closes for good (start, stop, too many): pending calls become a row, bytes alone stay pending, no window opens.
  std::optional<Amount> flush(EdgeState& edge);
  /// Lets go of an edge that has no open window (after it was saved).
  void release(const EdgeIdentity& identity);
  void clear();

  [[nodiscard]] std::size_t size() const { return edges_.size(); }
  /// When the next window ends, Unix ns; 0 = none is open.
  [[nodiscard]] std::int64_t next_end_ns() const { return ends_.empty() ? 0 : ends_.begin()->first; }

 private:
  void open_window(EdgeState& edge, std::int64_t end_ns);

  Windows windows_;
  std::unordered_map<EdgeIdentity, std::unique_ptr<EdgeState>, EdgeIdentityHash> edges_;
  std::set<std::pair<std::int64_t, EdgeState*>> ends_;
};

}  // namespace keytrail::record
