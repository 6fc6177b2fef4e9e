// SPDX-License-Identifier: Apache-2.0
// The kernel side's counters, read from the inherited mmapable array. Summed over CPUs. Thread: any.
#pragma once

#include <array>
#include <cstdint>

#include "agent/capture/ring_reader.h"
#include "keytrail/accounting.h"
#include "keytrail/result.h"

namespace keytrail::capture {

using FamilyCounters = std::array<KernelCounters, kFamilies>;  ///< indexed by Family

/// Causes of loss, as keys of KernelCounters::lost and as LossEvent::cause.
inline constexpr const char* kLostRingFull = "ring_full";
inline constexpr const char* kLostBudget = "budget";
inline constexpr const char* kLostReadFault = "read_fault";
inline constexpr const char* kLostScratch = "scratch";

class CounterReader {
 public:
  /// Maps the array behind `fd` (not kept, not closed). `cpus`: counter blocks in it; 0 = ask the kernel.
  static Result<CounterReader> map(int fd, std::uint32_t cpus);
  /// At rest hits = filtered + sent + lost; while hooks run, `hits` may be ahead, never behind.
  [[nodiscard]] FamilyCounters read() const;

 private:
  CounterReader(Mapping pages, std::uint32_t cpus) : pages_(std::move(pages)), cpus_(cpus) {}
  [[nodiscard]] std::uint64_t sum(std::size_t family, std::size_t counter) const;

  Mapping pages_;
  std::uint32_t cpus_;
};

}  // namespace keytrail::capture
