// SPDX-License-Identifier: Apache-2.0
// Asks for the node's users, since the passwd file that this process sees may be a container's. In: turns. Out: names
// by number. Thread: the pipeline's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "agent/identify/user_names.h"
#include "keytrail/examiner.h"

namespace keytrail::identify {

class NodeUsers {
 public:
  /// `examiner` outlives this; `take` gets each answer that came from a file.
  NodeUsers(Examiner& examiner, std::function<void(UserNames::Names)> take)
      : examiner_(examiner), take_(std::move(take)) {}
  /// Asks at once, then every minute; what was not answered is asked again after 10 s.
  void on_turn(std::uint64_t now_ns);
  /// Lines of the file that are no user, or over kMaxNodeUsers.
  [[nodiscard]] std::uint32_t skipped() const { return skipped_; }

 private:
  Examiner& examiner_;
  std::function<void(UserNames::Names)> take_;
  std::uint64_t now_ns_ = 0, next_ns_ = 0;
  std::uint32_t skipped_ = 0;
  bool asked_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after the end
};

}  // namespace keytrail::identify
