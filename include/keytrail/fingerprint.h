// SPDX-License-Identifier: Apache-2.0
// The keyed fingerprint of a secret value: SipHash-2-4-128(key, length ‖ first 512 bytes), the same in the kernel and
// in the examiner.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

namespace keytrail {

/// Values shorter than this have no fingerprint outside warden and examiner: they could be guessed.
inline constexpr std::size_t kMinFingerprintedBytes = 16;

struct Fingerprint {
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const Fingerprint&) const = default;
  [[nodiscard]] bool empty() const { return *this == Fingerprint{}; }
  /// "fp:" and 32 hexadecimal digits; "" when empty.
  [[nodiscard]] std::string text() const {
    if (empty()) return {};
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out = "fp:";
    for (std::uint8_t byte : bytes) {
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
    return out;
  }
};

}  // namespace keytrail
