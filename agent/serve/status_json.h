// SPDX-License-Identifier: Apache-2.0
// The agent's own state as JSON: /v1/status with the loss accounting, /v1/doctor as a list of what can be seen. Pure;
// any thread.
#pragma once

#include <boost/json/fwd.hpp>

#include "keytrail/agent_status.h"
#include "keytrail/history_reader.h"

namespace keytrail::serve {

/// How a remark begins that says what the agent cannot see here, why, and the fix.
inline constexpr char kPartlyArmed[] = "PARTLY ARMED";

/// `state`: armed, partly_armed or not_armed.
[[nodiscard]] boost::json::object status_json(const AgentStatus& agent, const HistoryStatus& history);
/// Rows of {what, state: full | partial | none, how, missing, cost, refused}.
[[nodiscard]] boost::json::array doctor_json(const AgentStatus& agent, const UnseenLives* unseen,
                                             const HistoryStatus& history);

}  // namespace keytrail::serve
