// SPDX-License-Identifier: Apache-2.0
// First stage: drains both rings in kernel time order, for decode. In: inherited map descriptors. Out: bytes of one
// record at a time, in place. Thread: the pipeline's, on a timer (next_delay). No wakeup, no copy, no allocation per
// record; waiting records stay in the rings, whose size is the bound.
//
// Order. A record waits until it is 10 ms old; then the older of the two heads goes first. Within a ring the order is
// that of reservation: the time of a record is taken before its reservation, so what one event caused in another can
// never lie before it, in the same ring or in the other.
//
// Restart. The consumer positions live in the maps, which the warden keeps: a new worker goes on where the last one
// stopped. Lost are the record that was in hand when the worker died (passed over, counted in `skipped_after_crash`, so
// that a record cannot kill every worker) and those delivered but not yet committed by record. Both show as the
// difference between the kernel's `sent` and the totals in the history, which become an exact gap.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "agent/capture/kernel_counters.h"
#include "agent/capture/ring_reader.h"
#include "keytrail/event.h"
#include "keytrail/event_abi.h"
#include "keytrail/result.h"

namespace keytrail::capture {

struct CaptureFds {
  int high_ring = -1;  ///< BPF_MAP_TYPE_RINGBUF; none of them is kept or closed
  int low_ring = -1;
  int counters = -1;             ///< BPF_F_MMAPABLE array of u64
  std::uint32_t high_bytes = 0;  ///< sizes of the rings' data; 0 = ask the kernel (/proc/self/fdinfo)
  std::uint32_t low_bytes = 0;
  std::uint32_t cpus = 0;  ///< counter blocks in the array; 0 = ask the kernel
};

struct CaptureStats {
  std::uint64_t delivered = 0;
  std::uint64_t late = 0;                 ///< older than one that was delivered before
  std::uint64_t corrupt = 0;              ///< times that a ring's content made no sense and was given up
  std::uint64_t skipped_after_crash = 0;  ///< records that the worker before this one died with
};

class Capture {
 public:
  static constexpr std::uint64_t kWatermarkNs = 10'000'000;
  static constexpr std::size_t kMaxPerDrain = 32'768;

  static Result<Capture> open(const CaptureFds& fds);

  /// Delivers records that are at least 10 ms old (`now_boot_ns`: CLOCK_BOOTTIME; UINT64_MAX = everything), in time
  /// order, at most `max`. `on_record(std::span<const std::byte>)`: the bytes are valid during the call only. Returns
  /// how many were delivered.
  template <typename F>
  std::size_t drain(std::uint64_t now_boot_ns, F&& on_record, std::size_t max = kMaxPerDrain) {
    std::size_t count = 0;
    for (; count < max; ++count) {
      Side* side = next(now_boot_ns);
      if (side == nullptr) break;
      side->ring.set_in_hand(side->head.position);
      on_record(std::span<const std::byte>(side->head.data, side->head.length));
      finish(*side);
    }
    note_drained(count);
    return count;
  }

  /// When to drain again: 2 ms under load, slower step by step to 20 ms when nothing comes.
  [[nodiscard]] std::chrono::milliseconds next_delay() const { return delay_; }

  /// Sums over CPUs, by family.
  [[nodiscard]] FamilyCounters kernel_counters() const { return counters_.read(); }

  /// What the kernel side lost since the last call: one event per family and cause that grew, from then to
  /// `now_boot_ns`. The first call reports all since the programs were loaded, or since the moment given to
  /// `resume_loss`: a gap is rather said twice than not.
  [[nodiscard]] std::vector<Event> loss_since_last(std::uint64_t now_boot_ns);
  /// The counters that an earlier worker has reported already (from the history), and when it looked at them.
  void resume_loss(const FamilyCounters& reported, std::uint64_t at_boot_ns);

  /// Records waiting in both rings, of any age.
  [[nodiscard]] std::size_t backlog();
  [[nodiscard]] std::uint64_t backlog_bytes() const;
  [[nodiscard]] CaptureStats stats() const;

 private:
  struct Side {
    RingReader ring;
    RingReader::Record head{};
    std::uint64_t head_time = 0;
    std::uint64_t cursor = 0;
    bool loaded = false;
  };

  Capture(RingReader high, RingReader low, CounterReader counters);
  bool load(Side& side, std::uint64_t now_boot_ns) const;
  Side* next(std::uint64_t now_boot_ns);
  void finish(Side& side);
  void note_drained(std::size_t count);

  Side high_, low_;
  CounterReader counters_;
  FamilyCounters reported_{};
  std::uint64_t reported_ns_ = 0;
  std::uint64_t newest_ns_ = 0;  // time of the newest record delivered
  CaptureStats stats_;
  std::chrono::milliseconds delay_{2};
};

}  // namespace keytrail::capture
