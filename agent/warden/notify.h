// SPDX-License-Identifier: Apache-2.0
// systemd's readiness protocol (sd_notify(3)), by hand.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace keytrail::warden {

/// The most descriptors that one message can carry.
inline constexpr std::size_t kMaxNotified = 4;

/// Sends `state` ("READY=1") to $NOTIFY_SOCKET; nothing when it is not set. A failure is of no consequence.
void notify(const std::string& state);
/// The same with copies of `descriptors`, at most kMaxNotified. False when it is not set, or nobody takes it.
bool notify_with(const std::string& state, std::span<const int> descriptors);
/// Half of $WATCHDOG_USEC in ns when it is meant for this process, else 0.
[[nodiscard]] std::uint64_t watchdog_interval_ns();

}  // namespace keytrail::warden
