// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/kernel_counters.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "keytrail/event_abi.h"

namespace keytrail::capture {
namespace {

constexpr std::uint32_t kMaxCpus = 8192;
constexpr std::size_t kPerCpu = std::size_t{KT_FAMILIES} * KT_COUNTERS_PER_FAMILY, kPerFamily = KT_COUNTERS_PER_FAMILY;
static_assert(kFamilies == KT_FAMILIES);

Result<Mapping> map_to_read(int fd, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  bytes = (bytes + page - 1) / page * page;
  void* address = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED)
    return fail(Error::Code::kSystem, fmt::format("mmap of the counters ({} bytes): {}", bytes, std::strerror(errno)));
  return Mapping(address, bytes);
}

}  // namespace

std::uint64_t sent_of(const FamilyCounters& counters) {
  std::uint64_t sum = 0;
  for (const KernelCounters& family : counters)
    sum += family.sent;
  return sum;
}

bool is_at_rest(const FamilyCounters& counters) {
  return std::ranges::all_of(counters, [](const KernelCounters& family) {
    std::uint64_t fates = family.filtered + family.sent;
    for (const auto& [cause, count] : family.lost)
      fates += count;
    return family.hits == fates;
  });
}

Result<CounterReader> CounterReader::map(int fd, std::uint32_t cpus) {
  if (cpus == 0) {
    const auto shape = map_shape(fd);
    if (!shape) return std::unexpected(shape.error());
    // One entry may be a counter or a CPU's block of counters: the memory is the same.
    cpus = static_cast<std::uint32_t>(std::uint64_t{shape->max_entries} * shape->value_size /
                                      (kPerCpu * sizeof(std::uint64_t)));
  }
  if (cpus == 0 || cpus > kMaxCpus)
    return fail(Error::Code::kInvalid, fmt::format("counters of {} CPUs: not between 1 and {}", cpus, kMaxCpus));
  auto pages = map_to_read(fd, std::size_t{cpus} * kPerCpu * sizeof(std::uint64_t));
  if (!pages) return std::unexpected(pages.error());
  return CounterReader(*std::move(pages), cpus);
}

std::uint64_t CounterReader::sum(std::size_t family, std::size_t counter) const {
  const auto* words = reinterpret_cast<const std::uint64_t*>(pages_.data());
  std::uint64_t total = 0;
  for (std::size_t cpu = 0; cpu < cpus_; ++cpu) {
    total += __atomic_load_n(words + cpu * kPerCpu + family * kPerFamily + counter, __ATOMIC_ACQUIRE);
  }
  return total;
}

CounterReader::Losses CounterReader::losses() const {
  Losses out;
  for (std::size_t family = 0; family < kFamilies; ++family) {
    out[family] = {sum(family, KT_C_LOST_RING), sum(family, KT_C_LOST_BUDGET), sum(family, KT_C_LOST_FAULT),
                   sum(family, KT_C_LOST_SCRATCH)};
  }
  return out;
}

FamilyCounters CounterReader::read() const {
  FamilyCounters out;
  const Losses lost = losses();
  for (std::size_t family = 0; family < kFamilies; ++family) {
    KernelCounters& at = out[family];
    at.lost = {{kLostRingFull, lost[family][0]},
               {kLostBudget, lost[family][1]},
               {kLostReadFault, lost[family][2]},
               {kLostScratch, lost[family][3]}};
    at.sent = sum(family, KT_C_SENT);
    at.filtered = sum(family, KT_C_FILTERED) + sum(family, KT_C_REPEATED);
    at.hits = sum(family, KT_C_HITS);  // last: a hook counts its hit before the hit's fate
  }
  return out;
}

Result<CgroupLosses> CgroupLosses::map(int fd) {
  auto pages = map_to_read(fd, std::size_t{KT_LOST_SLOTS} * sizeof(kt_lost));
  if (!pages) return std::unexpected(pages.error());
  return CgroupLosses(*std::move(pages));
}

std::map<std::uint32_t, CgroupLosses::Slot> CgroupLosses::read() const {
  std::map<std::uint32_t, Slot> out;
  const auto* slots = reinterpret_cast<const kt_lost*>(pages_.data());
  for (std::uint32_t i = 0; slots != nullptr && i < KT_LOST_SLOTS; ++i) {
    const std::uint64_t owner = __atomic_load_n(&slots[i].cgroup_id, __ATOMIC_ACQUIRE);
    if (owner == 0) continue;
    Slot& slot = out[i];
    slot.cgroup_id = owner;
    for (std::size_t family = 0; family < kFamilies; ++family)
      slot.lost[family] = __atomic_load_n(&slots[i].lost[family], __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&slots[i].cgroup_id, __ATOMIC_ACQUIRE) != owner) out.erase(i);  // it is given back just now
  }
  return out;
}

}  // namespace keytrail::capture
