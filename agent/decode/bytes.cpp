// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/bytes.h"

#include <algorithm>

namespace keytrail::decode {

std::span<const std::byte> Bytes::take(std::size_t count) {
  if (!ok_ || count > data_.size()) {
    ok_ = false;
    data_ = {};
    return {};
  }
  const auto out = data_.first(count);
  data_ = data_.subspan(count);
  return out;
}

Bytes::Part Bytes::take_up_to(std::size_t count) {
  const std::size_t there = std::min(count, data_.size());
  const Part out{.bytes = data_.first(there), .whole = there == count};
  data_ = data_.subspan(there);
  return out;
}

std::uint32_t Bytes::number(std::size_t count) {
  std::uint32_t out = 0;
  for (std::byte byte : take(count))
    out = (out << 8U) | std::to_integer<std::uint32_t>(byte);
  return out;
}

}  // namespace keytrail::decode
