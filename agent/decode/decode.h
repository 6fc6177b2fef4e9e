// SPDX-License-Identifier: Apache-2.0
// Second stage: bytes of one ring record (include/keytrail/event_abi.h) to an Event that owns its memory. In: capture.
// Out: identify. Pure; any thread. Every length is checked; nothing of a record is trusted but that it is
// `record.size()` bytes long.
#pragma once

#include <cstddef>
#include <span>

#include "agent/catalog/catalog.h"
#include "agent/decode/quic.h"
#include "keytrail/event.h"
#include "keytrail/result.h"

namespace keytrail::decode {

/// `formats`: catalog::kernel_tables().formats, the table that the kernel side indexes. An item with another index is
/// left out and the exec says args_truncated. A refused record is an Error whose message is one of a few fixed texts
/// (kTooShort …): the reason to count its drop under.
///
/// Paths. Leaf-first components become "/a/b"; when the walk was cut, the beginning is missing: "b/c" without '/', and
/// path_truncated. A
/// '/' within a component (a memfd may be named so) becomes "\x2f", so that no name imitates a path. Text is as the
/// kernel has it: base::printable() before it is shown. A payload is never refused for what is in it: the first bytes
/// left the connection, whatever they say.
///
/// `quic`: what is kept of ClientHellos over several datagrams; without it only one is looked at.
[[nodiscard]] Result<Event> decode(std::span<const std::byte> record, std::span<const catalog::ArgFormat> formats = {},
                                   QuicHellos* quic = nullptr);

inline constexpr const char* kTooShort = "record too short";
inline constexpr const char* kBeyondRecord = "length beyond the record";
inline constexpr const char* kUnknownType = "unknown event type";
inline constexpr const char* kUnknownFamily = "unknown family";
inline constexpr const char* kUnknownValue = "value out of range";
inline constexpr const char* kBadItem = "malformed item";
inline constexpr const char* kBadDns = "malformed DNS answer";

}  // namespace keytrail::decode
