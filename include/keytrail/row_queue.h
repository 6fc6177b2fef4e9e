// SPDX-License-Identifier: Apache-2.0
// Port: an export destination's view of the history, with its own durable cursor. Implemented by record.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "keytrail/accounting.h"
#include "keytrail/result.h"
#include "keytrail/row.h"

namespace keytrail {

/// Rows from `first_seq` on, up to the next epoch, were written in one opening of the history; `id` is random, 0 for
/// rows of before there were epochs. After a power cut or in a restored snapshot sequences come again, in another
/// epoch.
struct RowEpoch {
  std::uint64_t first_seq = 0;
  std::uint64_t id = 0;
};

class RowQueue {
 public:
  virtual ~RowQueue() = default;
  /// The random id of the history (16 bytes): with a row's epoch and sequence it gives stable span ids.
  [[nodiscard]] virtual std::array<std::uint8_t, 16> history_id() const = 0;
  /// Of all rows that there are, oldest first; does not change while the history is open.
  [[nodiscard]] virtual std::vector<RowEpoch> epochs() const { return {}; }
  /// Registers the exporter at first call (its cursor starts at the current end unless `from_start`). Name:
  /// [a-z0-9_-]{1,32}.
  virtual Result<void> open(const std::string& exporter, bool from_start) = 0;
  /// Up to `limit` rows after the cursor and after `after_seq` (0 = the cursor), oldest first. No transaction stays
  /// open.
  virtual Result<std::vector<Row>> read(const std::string& exporter, std::uint64_t after_seq, std::size_t limit) = 0;
  /// Up to `limit` rows after `after_seq`, whatever any cursor says: to go on where an earlier run ended.
  virtual Result<std::vector<Row>> read_any(std::uint64_t after_seq, std::size_t limit) {
    (void)after_seq;
    (void)limit;
    return std::vector<Row>{};
  }
  /// Moves the cursor to `up_to_seq`: of the rows passed, `rejected` were refused for good, the rest acknowledged.
  virtual Result<void> settle(const std::string& exporter, std::uint64_t up_to_seq, std::uint64_t rejected) = 0;
  [[nodiscard]] virtual Result<ExportCounters> counters(const std::string& exporter) = 0;
  /// Calls `wake` (any thread) after each committed batch with rows.
  virtual void on_append(std::function<void()> wake) = 0;
};

}  // namespace keytrail
