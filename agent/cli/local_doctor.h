// SPDX-License-Identifier: Apache-2.0
// What this machine offers, without an agent.
#pragma once

#include <string>

namespace keytrail::cli {

/// A table like doctor's: kernel, BTF, rights, cgroup version, lockdown. Reads /proc and /sys only.
[[nodiscard]] std::string local_doctor();

}  // namespace keytrail::cli
