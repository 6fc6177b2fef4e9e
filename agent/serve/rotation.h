// SPDX-License-Identifier: Apache-2.0
// How far a rotation from one key to another has come: who still has the old one, why, and what moves it; and of whom
// that cannot be told. In: the history, and the agent's word on lives that it did not see whole. Out: JSON for
// /v1/rotation, and the same words for /v1/holders. Thread: serve's.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "keytrail/agent_status.h"
#include "keytrail/history_reader.h"
#include "keytrail/result.h"

namespace keytrail::serve {

/// A holding with `why` (the process still has the key) and `to_move` (what takes it from the process).
[[nodiscard]] boost::json::object holder_json(const Holding& holding);

/// Live processes that may have a key and nobody saw them take it.
struct CannotTell {
  boost::json::object json;
  bool nobody = false;  ///< none of them
};

/// What the agent says of those that live now.
struct LivesNow {
  std::shared_ptr<const UnseenLives> unseen;  ///< null: it has not looked at all of them yet
  /// Key files being examined, or what they gave being stored: who opened them may have a key that is not known yet.
  std::uint64_t under_way = 0;
};
/// What was opened before must be on its way into the history by the time of this call, and what was examined by then
/// stored before holders are asked for: see server.cpp.
[[nodiscard]] LivesNow lives_now(AgentStatusSource& status);
/// The same, where nobody waited for that.
[[nodiscard]] LivesNow lives_now(AgentStatusSource& status, HistoryReader& history);

/// `kind`: of the key, or empty; `holders`: those that are known to have it. `with_quiet`: those that connected to
/// nobody count, too.
[[nodiscard]] CannotTell cannot_tell(const LivesNow& lives, std::string_view kind, std::span<const Holding> holders,
                                     bool with_quiet);

struct Rotation {
  boost::json::object row;         ///< of /v1/rotation
  bool complete = false;           ///< the coverage, and of every process it can be told
  std::vector<std::string> known;  ///< of the two keys, those that were seen on this node
};

/// What is asked of a rotation, and what the answer stands on.
struct RotationAsked {
  std::string old_key, new_key;
  bool with_quiet = true;  ///< as above
  std::int64_t now_ns = 0;
  bool complete = false;  ///< the coverage of the answer, without which nothing is done
};

/// Errors: the history's.
[[nodiscard]] Result<Rotation> rotation_of(HistoryReader& history, const LivesNow& lives, const RotationAsked& asked);

}  // namespace keytrail::serve
