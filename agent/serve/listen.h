// SPDX-License-Identifier: Apache-2.0
// The socket of the local API where nobody handed one over, bound with mode 0660; a peer that does not read, or is
// gone. What Asio does not offer. Thread: serve's.
#pragma once

#include <chrono>
#include <string>

#include "agent/base/fd.h"
#include "keytrail/result.h"

namespace keytrail::serve {

/// Listens at `path`, which must not exist. Errors: kInvalid (its length), kSystem.
[[nodiscard]] Result<base::UniqueFd> listen_at(const std::string& path);

/// The peer has closed its end, not only the half that it writes to.
[[nodiscard]] bool hung_up(int fd);

/// Whether the peer of a stream socket takes what it is sent. What waits for it does not count against it as long as it
/// becomes less: by the kernel's count of it (SIOCOUTQ, which Unix sockets have, too).
class Taking {
 public:
  explicit Taking(int fd) : fd_(fd) {}
  /// Since when it took nothing; to be asked before something is sent.
  [[nodiscard]] std::chrono::steady_clock::duration idle_for();
  /// Something was sent.
  void sent() { sent_ = waiting(); }

 private:
  [[nodiscard]] int waiting() const;
  int fd_, sent_ = 0;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace keytrail::serve
