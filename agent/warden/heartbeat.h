// SPDX-License-Identifier: Apache-2.0
// Makes the small real things whose events prove that the hooks work: an open, a connect, a packet, a fork and an exec
// of the warden's own. Thread: the warden's only one (it forks: no other thread may exist).
#pragma once

#include "bpf/lib/control.h"
#include "keytrail/result.h"

namespace keytrail::warden {

/// Announces each family in `control` and does what makes its hook run. `armed[family]` says which to try.
/// Fails with the names of what could not be done; the other families are still tried.
[[nodiscard]] Result<void> make_heartbeats(kt_control& control, const bool (&armed)[KT_FAMILIES]);

}  // namespace keytrail::warden
