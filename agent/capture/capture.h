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
// difference between the kernel's `sent` and the totals in the history, which become an exact gap. Where systemd keeps
// the maps the same goes for a new warden's worker; `rest_before` says what it finds of the hooks before.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
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
  int cgroups_lost = -1;         ///< BPF_F_MMAPABLE array of kt_lost; -1: whose losses they are is not known
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

/// What the hooks of an earlier warden left in the rings.
struct CaptureRest {
  std::uint64_t records = 0;       ///< that nobody has read
  std::uint64_t last_beat_ns = 0;  ///< of their newest heartbeat, read or not, ns since boot; 0: none is known
};

/// Counters and what waits in the rings.
struct CaptureMoment {
  FamilyCounters counters{};
  std::size_t backlog = 0;  ///< records in both rings, of any age
  bool exact = false;       ///< both are of one moment, in which no hook was under way
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

  /// When to drain again: after 5 ms while something comes, 2 ms when it was much, slower step by step to 20 ms when
  /// nothing comes.
  [[nodiscard]] std::chrono::milliseconds next_delay() const { return delay_; }

  /// Sums over CPUs, by family.
  [[nodiscard]] FamilyCounters kernel_counters() const { return counters_.read(); }

  /// What the kernel side lost since the last call: one event per family and cause that grew (of a spent budget one for
  /// each cgroup that is known, and one for the others), from then to `now_boot_ns`. The first call reports all since
  /// the counters began, or beyond what was given to `resume_loss`.
  [[nodiscard]] std::vector<Event> loss_since_last(std::uint64_t now_boot_ns);
  /// Of the counters what rows of earlier workers tell (from the history), and a moment before what they do not.
  void resume_loss(const FamilyCounters& reported, std::uint64_t at_boot_ns);
  /// What was lost before is in the history: what the next call reports, all since the counters began, lies after it.
  void losses_begin(std::uint64_t boot_ns) { reported_ns_ = boot_ns; }

  /// Records waiting in both rings, of any age.
  [[nodiscard]] std::size_t backlog();
  /// Tries a few times to find one that is exact.
  [[nodiscard]] CaptureMoment moment();
  [[nodiscard]] std::uint64_t backlog_bytes() const;
  /// What was made before `boot_ns`. To be asked before anything is drained.
  [[nodiscard]] CaptureRest rest_before(std::uint64_t boot_ns);
  [[nodiscard]] CaptureStats stats() const;

 private:
  struct Side {
    RingReader ring;
    RingReader::Record head{};
    std::uint64_t head_time = 0;
    std::uint64_t cursor = 0;
    bool loaded = false;
  };

  Capture(RingReader high, RingReader low, CounterReader counters, CgroupLosses losses);
  /// Takes from `lost`, of that family, what cgroups are known to have lost since it was reported, and adds it to
  /// `out`.
  void report_cgroups(std::uint64_t& lost, std::size_t family, const std::map<std::uint32_t, CgroupLosses::Slot>& slots,
                      std::uint64_t now_boot_ns, std::vector<Event>& out);
  bool load(Side& side, std::uint64_t now_boot_ns) const;
  Side* next(std::uint64_t now_boot_ns);
  void finish(Side& side);
  void note_drained(std::size_t count);

  Side high_, low_;
  CounterReader counters_;
  CgroupLosses losses_;
  FamilyCounters reported_{};
  std::optional<CounterReader::Losses> seen_lost_;                // of which all is reported
  std::map<std::uint32_t, CgroupLosses::Slot> reported_cgroups_;  // by number
  std::uint64_t reported_ns_ = 0;
  std::uint64_t newest_ns_ = 0;  // time of the newest record delivered
  CaptureStats stats_;
  std::chrono::milliseconds delay_{2};
};

}  // namespace keytrail::capture
