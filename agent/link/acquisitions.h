// SPDX-License-Identifier: Apache-2.0
// Who takes keys: counts every acquisition for its reader (workload, user, program, session, key, slot), and tells
// which are news, so that they become a row: the first of a reader, and at growing distances its further sessions and
// other files that its program's path leads to. Bounded. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/lru_map.h"
#include "agent/link/instance.h"
#include "keytrail/clock.h"
#include "keytrail/recorder.h"
#include "keytrail/row.h"

namespace keytrail::link {

inline constexpr std::uint64_t kNow = UINT64_MAX;
/// With the users that it acted for at `time_ns` (since boot).
[[nodiscard]] Actor make_actor(const Instance& instance, std::uint64_t time_ns = kNow);

class Acquisitions {
 public:
  explicit Acquisitions(std::size_t limit) : known_(limit) {}

  /// Counts one at `time_ns` (ns since boot). True when it is news.
  [[nodiscard]] bool take(const Instance& instance, const Key& key, const Slot& slot, bool baseline,
                          std::uint64_t time_ns);
  /// It was a row of an earlier run.
  void know(const Instance& instance, const Key& key, const Slot& slot);
  /// The same for a key file that was not read: its reader is workload, executable, path and reason.
  [[nodiscard]] bool is_unread_news(const Instance& instance, std::uint64_t time_ns, std::string_view path,
                                    std::string_view reason);
  /// What was counted since the last call.
  [[nodiscard]] std::vector<KeyReader> take_readers(const Clock& clock);
  [[nodiscard]] std::uint64_t repeats() const { return repeats_; }

 private:
  /// A reader, whatever its session and whichever file its program's path leads to.
  struct Known {
    std::uint64_t session = 0;   ///< the newest; see session_of
    std::uint64_t quiet_ns = 0;  ///< another session or file is no row before this (ns since boot)
    std::uint64_t wait_ns = 0;
    std::uint64_t round = 0;  ///< in which it was counted last, in which session, and where
    std::uint64_t counted = 0;
    std::uint32_t place = 0;
    std::uint32_t file = 0;  ///< the newest; see file_of
  };
  Known& known_of(const Instance& instance, const Key& key, const Slot& slot, std::uint64_t time_ns, bool& fresh);
  bool is_news(Known& known, bool fresh, const Instance& instance, std::uint64_t time_ns);
  void count(Known& known, const Instance& instance, const Key& key, const Slot& slot, bool baseline,
             std::uint64_t time_ns);

  base::LruMap<std::string, Known> known_;
  std::string text_;                ///< of the reader at hand
  std::vector<KeyReader> readers_;  ///< counted in this round; times in ns since boot
  std::uint64_t round_ = 1;
  std::uint64_t repeats_ = 0;
};

}  // namespace keytrail::link
