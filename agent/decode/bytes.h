// SPDX-License-Identifier: Apache-2.0
// A reader of foreign bytes in network order that cannot run past their end: after the first short read it gives zeros
// and `ok` is false.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace keytrail::decode {

class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> data) : data_(data) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t left() const { return data_.size(); }
  [[nodiscard]] bool empty() const { return data_.empty(); }

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u24() { return number(3); }
  std::uint32_t u32() { return number(4); }
  /// The next `count` bytes; empty and not ok when there are fewer.
  std::span<const std::byte> take(std::size_t count);
  /// As take(), but what there is when there is less: the second says whether all was there. Never makes the reader not
  /// ok.
  struct Part {
    std::span<const std::byte> bytes;
    bool whole;
  };
  Part take_up_to(std::size_t count);

 private:
  std::uint32_t number(std::size_t count);

  std::span<const std::byte> data_;
  bool ok_ = true;
};

[[nodiscard]] inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace keytrail::decode
