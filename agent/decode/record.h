// SPDX-License-Identifier: Apache-2.0
// Inside decode: reading our own wire structs, and the parts that follow them, within bounds.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "agent/catalog/catalog.h"
#include "keytrail/event.h"
#include "keytrail/event_abi.h"
#include "keytrail/result.h"

namespace keytrail::decode {

/// A copy of the wire struct at the front: records are aligned, recorded files need not be.
template <typename T>
[[nodiscard]] bool read_struct(std::span<const std::byte> bytes, T& out) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (bytes.size() < sizeof(T)) return false;
  std::memcpy(&out, bytes.data(), sizeof(T));
  return true;
}

/// Leaf first: "c\0b\0a\0" → "/a/b/c", or "a/b/c" when it was cut. Not leaf first: the text up to its first NUL.
[[nodiscard]] std::string path_text(std::string_view raw, bool leaf_first, bool cut);

/// KT_EV_EXEC and KT_EV_TASK: both have this layout.
[[nodiscard]] Result<ExecEvent> decode_exec(std::span<const std::byte> record,
                                            std::span<const catalog::ArgFormat> formats);

}  // namespace keytrail::decode
