// SPDX-License-Identifier: Apache-2.0
// The messages between warden, examiner and worker: one fixed struct per SOCK_SEQPACKET datagram, three socket pairs.
// All three are built together; the version is checked all the same. Unused bytes are zero. Strings are NUL-padded,
// lengths given and checked by `decode`: whoever reads trusts no length of the other side. The structs are in
// role_abi_warden.h and role_abi_examiner.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "keytrail/role_abi_examiner.h"
#include "keytrail/role_abi_parts.h"
#include "keytrail/role_abi_warden.h"

namespace keytrail::role {

template <typename Message>
concept Wire = std::is_trivially_copyable_v<Message> && std::is_standard_layout_v<Message>;

/// A new message with its head filled in.
template <Wire Message>
[[nodiscard]] Message make(Type type, std::uint64_t request = 0) {
  Message message{};
  message.head = Head{.type = static_cast<std::uint16_t>(type), .size = sizeof(Message), .request = request};
  return message;
}

/// The type of a datagram, or 0 when it is none of ours (too short, another version, a wrong size).
[[nodiscard]] inline Type type_of(const void* data, std::size_t size) {
  Head head;
  if (size < sizeof(head)) return Type{0};
  std::memcpy(&head, data, sizeof(head));
  return head.version == kVersion && head.size == size ? static_cast<Type>(head.type) : Type{0};
}

/// Copies a datagram of `type_of` into its struct; false when its size or a length in it is wrong.
template <Wire Message>
[[nodiscard]] bool decode(const void* data, std::size_t size, Message& out) {
  if (size != sizeof(Message)) return false;
  std::memcpy(static_cast<void*>(&out), data, sizeof(Message));
  return detail::lengths_ok(out);
}

/// The largest message; receive buffers have this size.
inline constexpr std::size_t kMaxMessage = 2560;

static_assert(sizeof(Hook) <= kMaxMessage && sizeof(Open) <= kMaxMessage && sizeof(KeyFact) <= kMaxMessage);

}  // namespace keytrail::role
