// SPDX-License-Identifier: Apache-2.0
// Live processes of which something may have been missed: whoever asks who has a key cannot be told of these. In: the
// table of instances and the gaps. Out: those that connected to somebody, by name, and how many others, by program.
// Pure.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>

#include "agent/link/gaps.h"
#include "agent/link/instance.h"
#include "keytrail/agent_status.h"

namespace keytrail::link {

[[nodiscard]] UnseenLives unseen_lives(const std::unordered_map<std::uint32_t, InstanceRef>& live,
                                       std::span<const Gap> gaps, std::uint64_t now_ns);

}  // namespace keytrail::link
