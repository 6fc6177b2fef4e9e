// SPDX-License-Identifier: Apache-2.0
// For tests of decode: builds foreign bytes in network order, and feeds a parser every prefix and every one-byte change
// of an input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keytrail::decode::test {

class Wire {
 public:
  Wire& u8(unsigned value) { return put(value, 1); }
  Wire& u16(std::size_t value) { return put(value, 2); }
  Wire& u24(std::size_t value) { return put(value, 3); }
  Wire& u32(std::size_t value) { return put(value, 4); }
  Wire& text(std::string_view value) {
    for (char c : value)
      bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  Wire& zeros(std::size_t count) {
    bytes_.insert(bytes_.end(), count, std::byte{0});
    return *this;
  }
  Wire& add(const Wire& other) {
    bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
    return *this;
  }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }
  operator std::span<const std::byte>() const { return bytes_; }  // NOLINT(google-explicit-constructor)

 private:
  Wire& put(std::size_t value, int count) {
    for (int i = count - 1; i >= 0; --i)
      bytes_.push_back(static_cast<std::byte>(value >> (8U * static_cast<unsigned>(i))));
    return *this;
  }
  std::vector<std::byte> bytes_;
};

/// Calls `parse` with every prefix, each in a heap block of exactly its size, so that a sanitizer sees a read past the
/// end.
template <typename F>
void for_each_prefix(std::span<const std::byte> input, F&& parse) {
  for (std::size_t size = 0; size <= input.size(); ++size) {
    const auto copy = std::make_unique<std::byte[]>(size);
    for (std::size_t i = 0; i < size; ++i)
      copy[i] = input[i];
    parse(std::span<const std::byte>(copy.get(), size));
  }
}

/// Calls `parse` with every input that differs in one byte by one of some telling values.
template <typename F>
void for_each_damage(std::span<const std::byte> input, F&& parse) {
  std::vector<std::byte> copy(input.begin(), input.end());
  for (std::byte& byte : copy) {
    const std::byte before = byte;
    for (unsigned value : {0x00U, 0x01U, 0x3FU, 0x40U, 0x7FU, 0x80U, 0xC0U, 0xFFU}) {
      byte = static_cast<std::byte>(value);
      parse(std::span<const std::byte>(copy));
    }
    byte = before;
  }
}

}  // namespace keytrail::decode::test
