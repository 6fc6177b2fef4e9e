// SPDX-License-Identifier: Apache-2.0
// Sending and receiving one message with at most one descriptor on a SOCK_SEQPACKET socket.
#pragma once

#include <sys/types.h>

#include <span>

#include "agent/base/fd.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {

/// 1 sent, 0 the buffer is full (flags has MSG_DONTWAIT), -1 the other side is gone.
int send_bytes(int socket, std::span<const char> bytes, int descriptor, int flags);

template <role::Wire Message>
int send_message(int socket, const Message& message, int descriptor = -1, int flags = 0) {
  return send_bytes(socket, {reinterpret_cast<const char*>(&message), sizeof(message)}, descriptor, flags);
}

/// The bytes of the next message, 0 when the other side is gone, -1 when there is none now (MSG_DONTWAIT).
ssize_t receive_bytes(int socket, std::span<char> buffer, base::UniqueFd& descriptor, int flags);

}  // namespace keytrail::warden
