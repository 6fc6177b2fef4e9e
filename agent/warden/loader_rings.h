// SPDX-License-Identifier: Apache-2.0
// Rings and counters of the warden before this one (kept_rings.h), in place of new ones. Thread: the warden's only one.
#pragma once

#include "agent/warden/loader.h"
#include "agent/warden/skeleton.h"

namespace keytrail::warden {

/// Has the programs of an opened skeleton, whose sizes are set, go on in these maps when it is loaded. Fails, with
/// nothing changed, when one of them is no map of the kind, shape and name that the skeleton has there. (When the
/// kernel fails half way the skeleton is of no use any more.)
Result<void> reuse_rings(keytrail_bpf& skeleton, const KeptFds& kept);

}  // namespace keytrail::warden
