// SPDX-License-Identifier: Apache-2.0
// Whether somebody who should give a sign every few seconds still does. Time is counted in the asker's own seconds: who
// was stopped himself accuses nobody. Pure. Thread: one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace keytrail {

class Silence {
 public:
  /// Own seconds without a sign.
  static constexpr unsigned kAfter = 10;

  struct Period {
    std::uint64_t from_ns = 0;  ///< ns since boot
    std::uint64_t to_ns = 0;
  };

  explicit Silence(std::uint64_t now_ns = 0) : last_ns_(now_ns) {}

  /// A sign that was given then.
  void heard(std::uint64_t then_ns) {
    if (silent_) ended_ = Period{last_ns_, std::max(last_ns_, then_ns)};
    silent_ = false;
    last_ns_ = then_ns;
    seconds_ = 0;
  }
  /// Once a second. What of the silence is not told yet: when it is noticed, every kAfter seconds of it, at its end.
  std::optional<Period> tick(std::uint64_t now_ns) {
    if (ended_) return std::exchange(ended_, std::nullopt);
    if (++seconds_ < kAfter) return std::nullopt;
    silent_ = true;
    seconds_ = 0;
    return Period{std::exchange(last_ns_, now_ns), now_ns};
  }
  [[nodiscard]] bool is_silent() const { return silent_; }
  /// Own seconds since the last sign, or since the silence was told of.
  [[nodiscard]] unsigned seconds() const { return seconds_; }

 private:
  std::uint64_t last_ns_;  ///< the last sign, or up to where the silence is told
  unsigned seconds_ = 0;
  bool silent_ = false;
  std::optional<Period> ended_;
};

/// Whether the asker himself did not run (a freezer, a stopped machine's guest): time went on while he did not look.
/// The machine's own sleep is none of that: nothing happened in it.
class OwnStall {
 public:
  static constexpr std::uint64_t kAfterNs = Silence::kAfter * std::uint64_t{1'000'000'000};

  /// Once a second. `boot_ns` with the machine's sleep, `awake_ns` without.
  std::optional<Silence::Period> tick(std::uint64_t boot_ns, std::uint64_t awake_ns) {
    const std::uint64_t from_ns = std::exchange(boot_ns_, boot_ns), was_ns = std::exchange(awake_ns_, awake_ns);
    if (was_ns == 0 || awake_ns < was_ns + kAfterNs) return std::nullopt;
    return Silence::Period{from_ns, boot_ns};
  }

 private:
  std::uint64_t boot_ns_ = 0, awake_ns_ = 0;  ///< of the last look
};

}  // namespace keytrail
