// SPDX-License-Identifier: Apache-2.0
// What can be set about the history.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace keytrail::record {

inline constexpr std::int64_t kSecond = 1'000'000'000;
inline constexpr std::int64_t kMinute = 60 * kSecond;
/// The wall clock was set when it and the time since boot go on by more than this apart.
inline constexpr std::int64_t kClockStepNs = kSecond;

struct HistoryOptions {
  std::string path = "/var/lib/keytrail/history.db";  ///< its directory must exist: 0700, or 1770 with a group
  std::uint64_t max_bytes = std::uint64_t{1} << 30;   ///< bound of the database file; at least 1 MiB
  std::int64_t retention_ns = std::int64_t{30} * 24 * 60 * kMinute;
  std::uint64_t reserve_bytes = 4U << 20;  ///< size of the file that is removed to get out of a full disk; 0 = none
  std::array<std::int64_t, 4> windows_ns{kMinute, 5 * kMinute, 15 * kMinute, 60 * kMinute};
  std::size_t max_open_windows = 8'192;  ///< more edges in use at a time close their windows early
  std::size_t queue_batches = 1024;
  std::size_t queue_rows = 32'768;              ///< rows and uses waiting for the writer
  std::chrono::milliseconds merge_for{50};      ///< batches that come within this time share a transaction
  std::chrono::milliseconds wait_for_row{200};  ///< batches without a row wait so long for one before that
  std::size_t merge_rows = 2000;
  std::chrono::milliseconds query_limit{3000};  ///< a question that takes longer is refused
  /// Called once, on any thread, when the file turns out to be damaged while it is in use: it is put aside when it is
  /// opened again, so whoever has it should end.
  std::function<void()> on_damage;
  std::string boot_id;  ///< empty: taken from /proc/sys/kernel/random/boot_id
};

}  // namespace keytrail::record
