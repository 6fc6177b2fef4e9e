// SPDX-License-Identifier: Apache-2.0
// systemd's readiness protocol (sd_notify(3)), by hand.
#pragma once

#include <cstdint>
#include <string>

namespace keytrail::warden {

/// Sends `state` ("READY=1") to $NOTIFY_SOCKET; nothing when it is not set. A failure is of no consequence.
void notify(const std::string& state);
/// Half of $WATCHDOG_USEC in ns when it is meant for this process, else 0.
[[nodiscard]] std::uint64_t watchdog_interval_ns();

}  // namespace keytrail::warden
