// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/capture.h"

#include <algorithm>
#include <utility>

namespace keytrail::capture {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kShortestDelay = 2ms;
constexpr std::chrono::milliseconds kLongestDelay = 20ms;
constexpr std::uint64_t kImpossibleFutureNs = 1'000'000'000;

}  // namespace

Result<Capture> Capture::open(const CaptureFds& fds) {
  auto high = RingReader::map(fds.high_ring, fds.high_bytes);
  if (!high) return std::unexpected(high.error());
  auto low = RingReader::map(fds.low_ring, fds.low_bytes);
  if (!low) return std::unexpected(low.error());
  auto counters = CounterReader::map(fds.counters, fds.cpus);
  if (!counters) return std::unexpected(counters.error());
  return Capture(std::move(*high), std::move(*low), std::move(*counters));
}

Capture::Capture(RingReader high, RingReader low, CounterReader counters)
    : high_{.ring = std::move(high)}, low_{.ring = std::move(low)}, counters_(std::move(counters)) {
  for (Side* side : {&high_, &low_}) {
    if (side->ring.skip_in_hand()) ++stats_.skipped_after_crash;
    side->cursor = side->ring.consumer();
  }
}

// Finds the side's first record. True when it is due.
bool Capture::load(Side& side, std::uint64_t now_boot_ns) const {
  if (!side.loaded) {
    const std::uint64_t before = side.cursor;
    const RingReader::Step step = side.ring.peek(side.cursor, side.head);
    if (side.cursor != before)
      side.ring.set_consumer(side.cursor);  // discarded records and damage are given back at once
    if (step != RingReader::Step::kRecord) return false;
    side.head_time = 0;  // too short to have a time: due at once, decode refuses and counts it
    if (side.head.length >= sizeof(std::uint64_t)) std::memcpy(&side.head_time, side.head.data, sizeof side.head_time);
    side.loaded = true;
  }
  // A time that cannot be must not block the ring for ever: due at once as well.
  if (side.head_time > now_boot_ns && side.head_time - now_boot_ns > kImpossibleFutureNs) side.head_time = 0;
  return now_boot_ns == UINT64_MAX || side.head_time <= now_boot_ns - std::min(now_boot_ns, kWatermarkNs);
}

Capture::Side* Capture::next(std::uint64_t now_boot_ns) {
  const bool high_due = load(high_, now_boot_ns);
  const bool low_due = load(low_, now_boot_ns);
  if (high_due && low_due) return high_.head_time <= low_.head_time ? &high_ : &low_;
  if (high_due) return &high_;
  return low_due ? &low_ : nullptr;
}

void Capture::finish(Side& side) {
  if (side.head_time < newest_ns_) {
    ++stats_.late;
  } else {
    newest_ns_ = side.head_time;
  }
  ++stats_.delivered;
  side.cursor = side.head.end;
  side.loaded = false;
  side.ring.set_consumer(side.cursor);
  side.ring.clear_in_hand();
}

void Capture::note_drained(std::size_t count) {
  delay_ = count > 0 ? kShortestDelay : std::min(kLongestDelay, delay_ + delay_ / 2);
}

std::vector<Event> Capture::loss_since_last(std::uint64_t now_boot_ns) {
  std::vector<Event> out;
  FamilyCounters now = counters_.read();
  for (std::size_t family = 0; family < kFamilies; ++family) {
    for (const auto& [cause, total] : now[family].lost) {
      const std::uint64_t before = reported_[family].lost[cause];
      // Below what was reported: the programs were loaded anew, and all of it is new.
      const std::uint64_t lost = total >= before ? total - before : total;
      if (lost == 0) continue;
      Event event;
      event.head = {.time_ns = now_boot_ns, .family = static_cast<Family>(family)};
      event.body =
          LossEvent{.family = static_cast<Family>(family), .cause = cause, .count = lost, .from_ns = reported_ns_};
      out.push_back(std::move(event));
    }
  }
  resume_loss(now, now_boot_ns);
  return out;
}

void Capture::resume_loss(const FamilyCounters& reported, std::uint64_t at_boot_ns) {
  reported_ = reported;
  reported_ns_ = at_boot_ns;
}

std::size_t Capture::backlog() {
  std::size_t count = 0;
  for (Side* side : {&high_, &low_}) {
    std::uint64_t cursor = side->cursor;
    RingReader::Record record;
    while (side->ring.peek(cursor, record) == RingReader::Step::kRecord) {
      ++count;
      cursor = record.end;
    }
  }
  return count;
}

std::uint64_t Capture::backlog_bytes() const {
  return (high_.ring.producer() - high_.ring.consumer()) + (low_.ring.producer() - low_.ring.consumer());
}

CaptureStats Capture::stats() const {
  CaptureStats out = stats_;
  out.corrupt = high_.ring.corrupt() + low_.ring.corrupt();
  return out;
}

}  // namespace keytrail::capture
