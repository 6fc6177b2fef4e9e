// SPDX-License-Identifier: Apache-2.0
// The time that decides what is old enough to be deleted. Not the wall clock: 40 s of a wrong one would empty the
// history. It goes on with the time since boot, is never ahead of the wall clock, and believes a wall clock that is
// ahead of it (a machine that was off, a clock that was set) only as far as that was so for a day of running. Late is
// harmless: rows are kept longer, and the size bound holds. Pure; Store keeps it in the file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keytrail::record {

class RetentionClock {
 public:
  /// So long a wall clock must have been ahead, in time that was watched.
  static constexpr std::int64_t kBelieveNs = std::int64_t{24} * 3600 * 1'000'000'000;

  RetentionClock() = default;
  /// As `text` wrote it; nullopt: not one of these.
  [[nodiscard]] static std::optional<RetentionClock> parse(std::string_view text);
  [[nodiscard]] std::string text() const;

  /// The moment by its three names. Returns the time to delete by, Unix ns.
  std::int64_t advance(const std::string& boot_id, std::uint64_t boot_ns, std::int64_t wall_ns) {
    const bool same_boot = boot_id == boot_id_;
    // What lies between two boots nobody knows, but for the time since the second.
    const std::uint64_t since = same_boot ? boot_ns - std::min(boot_ns, boot_ns_) : boot_ns;
    const auto passed = static_cast<std::int64_t>(std::min(since, std::uint64_t{1} << 62U));
    const bool first = time_ns_ == 0;
    boot_id_ = boot_id;
    boot_ns_ = boot_ns;
    if (first || wall_ns <= time_ns_ + passed) {
      time_ns_ = wall_ns;
      lead_ns_ = stood_ns_ = 0;
      return time_ns_;
    }
    time_ns_ += passed;
    const std::int64_t lead = wall_ns - time_ns_;
    if (lead_ns_ == 0) {
      lead_ns_ = lead;
      return time_ns_;
    }
    lead_ns_ = std::min(lead_ns_, lead);
    if (same_boot) stood_ns_ += passed;
    if (stood_ns_ < kBelieveNs) return time_ns_;
    time_ns_ += lead_ns_;
    lead_ns_ = stood_ns_ = 0;
    return time_ns_;
  }

  /// Whether what `next` made of this is worth keeping: what it says of now can be told from this alone otherwise.
  [[nodiscard]] bool is_outdated(const RetentionClock& next) const {
    constexpr std::int64_t kLittle = 1'000'000'000;
    constexpr std::uint64_t kOften = std::uint64_t{600} * 1'000'000'000;
    if (time_ns_ == 0 || boot_id_ != next.boot_id_ || next.boot_ns_ < boot_ns_ || next.boot_ns_ - boot_ns_ >= kOften)
      return true;
    const std::int64_t expected = time_ns_ + static_cast<std::int64_t>(next.boot_ns_ - boot_ns_);
    return next.time_ns_ < expected - kLittle || next.time_ns_ > expected + kLittle ||
           next.lead_ns_ < lead_ns_ - kLittle || next.lead_ns_ > lead_ns_ + kLittle;
  }

 private:
  std::string boot_id_;
  std::uint64_t boot_ns_ = 0;  ///< ns since that boot, when it was last asked
  std::int64_t time_ns_ = 0;   ///< Unix ns; 0 = never asked
  std::int64_t lead_ns_ = 0;   ///< the least that the wall clock was ahead since it is; 0 = it is not
  std::int64_t stood_ns_ = 0;  ///< for how long it is, in time that was watched
};

}  // namespace keytrail::record
