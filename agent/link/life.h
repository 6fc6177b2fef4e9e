// SPDX-License-Identifier: Apache-2.0
// What the closed world knows of a holder, stored beside its holdings: a worker that is started again must not be surer than the one
// before.
#pragma once

#include <string>

#include "agent/link/instance.h"

namespace keytrail::link {

/// "life:TGID-START-EXEC"
[[nodiscard]] std::string life_name(const InstanceId& id);
/// JSON; times in ns since boot, which holds as long as the process can live.
[[nodiscard]] std::string encode_life(const Instance& instance);
/// What a file said of an entry beside its key: which host it is for, whether it is the one in use. Taken from the stored text; nothing is
/// set when it does not name this holding.
void apply_entry(HeldKey& what, const std::string& text);
/// Sets what was stored; text that cannot be read leaves the instance as one whose start was not seen.
void apply_life(Instance& instance, const std::string& text);

}  // namespace keytrail::link
