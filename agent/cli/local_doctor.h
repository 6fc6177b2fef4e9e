// SPDX-License-Identifier: Apache-2.0
// What this machine offers, without an agent.
#pragma once

#include <string>

namespace keytrail::cli {

/// Tables like doctor's: kernel, BTF, rights, cgroup version, lockdown from /proc and /sys; as root also how the hooks
/// would be armed, what that costs and what is missing. `config`: as for the agent.
[[nodiscard]] std::string local_doctor(const std::string& config, std::size_t width);

}  // namespace keytrail::cli
