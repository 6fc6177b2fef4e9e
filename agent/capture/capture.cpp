// SPDX-License-Identifier: Apache-2.0
#include "agent/capture/capture.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace keytrail::capture {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kShortestDelay = 2ms, kUsualDelay = 5ms;
constexpr std::size_t kMany = 256;  // a ring has room for some 40,000
constexpr std::chrono::milliseconds kLongestDelay = 20ms;
constexpr std::uint64_t kImpossibleFutureNs = 1'000'000'000;

Event loss_event(std::size_t family, const std::string& cause, std::uint64_t count, std::uint64_t cgroup_id,
                 std::uint64_t from_ns, std::uint64_t now_ns) {
  Event out;
  out.head = {.time_ns = now_ns, .family = static_cast<Family>(family), .cgroup_id = cgroup_id};
  out.body = LossEvent{.family = out.head.family, .cause = cause, .count = count, .from_ns = from_ns, .workload = {}};
  return out;
}

bool is_heartbeat(const RingReader::Record& record) {
  kt_u16 type = 0;
  if (record.length < sizeof(ev_head)) return false;
  std::memcpy(&type, record.data + offsetof(ev_head, type), sizeof type);
  return type == KT_EV_HEARTBEAT;
}

}  // namespace

Result<Capture> Capture::open(const CaptureFds& fds) {
  auto high = RingReader::map(fds.high_ring, fds.high_bytes);
  if (!high) return std::unexpected(high.error());
  auto low = RingReader::map(fds.low_ring, fds.low_bytes);
  if (!low) return std::unexpected(low.error());
  auto counters = CounterReader::map(fds.counters, fds.cpus);
  if (!counters) return std::unexpected(counters.error());
  auto losses = fds.cgroups_lost < 0 ? CgroupLosses() : CgroupLosses::map(fds.cgroups_lost);
  if (!losses) return std::unexpected(losses.error());
  return Capture(std::move(*high), std::move(*low), std::move(*counters), std::move(*losses));
}

Capture::Capture(RingReader high, RingReader low, CounterReader counters, CgroupLosses losses)
    : high_{.ring = std::move(high)},
      low_{.ring = std::move(low)},
      counters_(std::move(counters)),
      losses_(std::move(losses)) {
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
  if (is_heartbeat(side.head)) side.ring.note_beat(side.head_time);
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
  if (count == 0)
    delay_ = std::min(kLongestDelay, delay_ + delay_ / 2);
  else
    delay_ = count < kMany ? kUsualDelay : kShortestDelay;
}

std::vector<Event> Capture::loss_since_last(std::uint64_t now_boot_ns) {
  std::vector<Event> out;
  const CounterReader::Losses lost_now = counters_.losses();
  if (std::exchange(seen_lost_, lost_now) == lost_now) {
    reported_ns_ = now_boot_ns;
    return out;
  }
  FamilyCounters now = counters_.read();
  std::optional<std::map<std::uint32_t, CgroupLosses::Slot>> slots;  // read when there is something to tell
  for (std::size_t family = 0; family < kFamilies; ++family) {
    for (const auto& [cause, total] : now[family].lost) {
      const std::uint64_t before = reported_[family].lost[cause];
      // Below what was reported: the programs were loaded anew, and all of it is new.
      std::uint64_t lost = total >= before ? total - before : total;
      if (lost != 0 && cause == kLostBudget) {
        if (!slots) slots = losses_.read();
        report_cgroups(lost, family, *slots, now_boot_ns, out);
      }
      if (lost != 0) out.push_back(loss_event(family, cause, lost, 0, reported_ns_, now_boot_ns));
    }
  }
  reported_ = std::move(now);
  reported_ns_ = now_boot_ns;
  return out;
}

// What a slot has more than the counters is told when they have it, too: the sum is always theirs. Whoever lost
// something is told first, so that one who loses all the time leaves the others their share.
void Capture::report_cgroups(std::uint64_t& lost, std::size_t family,
                             const std::map<std::uint32_t, CgroupLosses::Slot>& slots, std::uint64_t now_boot_ns,
                             std::vector<Event>& out) {
  struct Share {
    std::uint64_t cgroup_id = 0;
    std::uint64_t* told = nullptr;
    std::uint64_t untold = 0, its = 0;
  };
  std::vector<Share> shares;
  for (const auto& [number, slot] : slots) {
    CgroupLosses::Slot& reported = reported_cgroups_[number];
    if (reported.cgroup_id != slot.cgroup_id) reported = {.cgroup_id = slot.cgroup_id, .lost = {}};
    std::uint64_t& told = reported.lost[family];
    if (slot.lost[family] > told) shares.push_back({slot.cgroup_id, &told, slot.lost[family] - told});
  }
  for (const std::uint64_t most : {std::uint64_t{1}, UINT64_MAX}) {
    for (Share& one : shares) {
      const std::uint64_t part = std::min({lost, one.untold - one.its, most});
      one.its += part;
      lost -= part;
    }
  }
  for (const Share& one : shares) {
    if (one.its == 0) continue;
    out.push_back(loss_event(family, kLostBudget, one.its, one.cgroup_id, reported_ns_, now_boot_ns));
    *one.told += one.its;
  }
}

void Capture::resume_loss(const FamilyCounters& reported, std::uint64_t at_boot_ns) {
  seen_lost_.reset();
  reported_ = reported;
  reported_ns_ = at_boot_ns;
  for (const auto& [number, slot] : losses_.read())  // of these nobody knows what was reported
    reported_cgroups_[number] = slot;
}

std::size_t Capture::backlog() {
  std::size_t count = 0;
  for (Side* side : {&high_, &low_}) {
    std::uint64_t cursor = side->cursor;
    RingReader::Record record;
    // One that is being written is not counted as sent; those behind it are.
    for (auto step = RingReader::Step::kEmpty; (step = side->ring.peek(cursor, record)) != RingReader::Step::kEmpty;) {
      if (step == RingReader::Step::kRecord) ++count;
      cursor = record.end;
    }
  }
  return count;
}

CaptureMoment Capture::moment() {
  constexpr int kTries = 3;
  CaptureMoment out{.counters = counters_.read()};
  for (int i = 0; i < kTries && !out.exact; ++i) {
    const std::uint64_t before = sent_of(out.counters);
    const bool at_rest = is_at_rest(out.counters);
    out.backlog = backlog();
    out.counters = counters_.read();
    out.exact = at_rest && is_at_rest(out.counters) && sent_of(out.counters) == before;
  }
  return out;
}

CaptureRest Capture::rest_before(std::uint64_t boot_ns) {
  CaptureRest out;
  const auto beat = [&](std::uint64_t time_ns) {
    if (time_ns < boot_ns) out.last_beat_ns = std::max(out.last_beat_ns, time_ns);
  };
  for (Side* side : {&high_, &low_}) {
    beat(side->ring.last_beat());
    std::uint64_t cursor = side->cursor;
    for (RingReader::Record record; side->ring.peek(cursor, record) == RingReader::Step::kRecord; cursor = record.end) {
      std::uint64_t time_ns = boot_ns;
      if (record.length >= sizeof time_ns) std::memcpy(&time_ns, record.data, sizeof time_ns);
      if (time_ns >= boot_ns) continue;
      ++out.records;
      if (is_heartbeat(record)) beat(time_ns);
    }
  }
  return out;
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
