// SPDX-License-Identifier: Apache-2.0
// How far a rotation from one key to another has come: who still has the old one, why, and what moves it.
// In: the history. Out: JSON for /v1/rotation, and the same words for every row of /v1/holders. Thread: serve's.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <string>

#include "keytrail/history_reader.h"
#include "keytrail/result.h"

namespace keytrail::serve {

/// A holding with `why` (the process still has the key) and `to_move` (what takes it from the process).
[[nodiscard]] boost::json::object holder_json(const Holding& holding);

/// The row of /v1/rotation. `complete`: the coverage of the answer, without which nothing is done. Errors: the
/// history's.
[[nodiscard]] Result<boost::json::object> rotation_json(HistoryReader& history, const std::string& old_key,
                                                        const std::string& new_key, std::int64_t now_ns, bool complete);

}  // namespace keytrail::serve
