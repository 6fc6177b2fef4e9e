// SPDX-License-Identifier: Apache-2.0
// The kernel side's counters, read from the inherited mmapable arrays. Summed over CPUs. Thread: any.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>

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
[[nodiscard]] inline bool is_kernel_loss(std::string_view cause) {
  return cause == kLostRingFull || cause == kLostBudget || cause == kLostReadFault || cause == kLostScratch;
}

/// Of all families.
[[nodiscard]] std::uint64_t sent_of(const FamilyCounters& counters);
/// No hook was under way: each hit had its fate when these were read. (A record is in the ring a moment before it is
/// counted as sent, and its hit is counted before both.)
[[nodiscard]] bool is_at_rest(const FamilyCounters& counters);

class CounterReader {
 public:
  /// Maps the array behind `fd` (not kept, not closed). `cpus`: counter blocks in it; 0 = ask the kernel.
  static Result<CounterReader> map(int fd, std::uint32_t cpus);
  /// At rest hits = filtered + sent + lost; while hooks run, `hits` may be ahead, never behind.
  [[nodiscard]] FamilyCounters read() const;
  /// What was lost alone, for each cause: to see without much work whether there is something to tell.
  using Losses = std::array<std::array<std::uint64_t, 4>, kFamilies>;
  [[nodiscard]] Losses losses() const;

 private:
  CounterReader(Mapping pages, std::uint32_t cpus) : pages_(std::move(pages)), cpus_(cpus) {}
  [[nodiscard]] std::uint64_t sum(std::size_t family, std::size_t counter) const;

  Mapping pages_;
  std::uint32_t cpus_;
};

/// Whose the losses under kLostBudget were, as far as there was room to say so: the array of kt_lost.
class CgroupLosses {
 public:
  struct Slot {
    std::uint64_t cgroup_id = 0;  ///< as in EventHead; 0: nobody's
    std::array<std::uint64_t, kFamilies> lost{};
  };

  /// Nobody's.
  CgroupLosses() = default;
  /// Maps the array behind `fd` (not kept, not closed).
  static Result<CgroupLosses> map(int fd);
  /// The slots that have an owner, by their numbers; one whose cgroup is gone may get another. What is lost is here
  /// before it is in the counters: to be read after them.
  [[nodiscard]] std::map<std::uint32_t, Slot> read() const;

 private:
  explicit CgroupLosses(Mapping pages) : pages_(std::move(pages)) {}

  Mapping pages_;
};

}  // namespace keytrail::capture
