// SPDX-License-Identifier: Apache-2.0
// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein; reference: github.com/veorq/SipHash), and the
// fingerprint made with it. The kernel side computes the same.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "keytrail/fingerprint.h"

namespace keytrail::base {

using SipKey = std::array<std::uint8_t, 16>;

/// Bytes of a value that go into its fingerprint (KT_HASHED_MAX).
inline constexpr std::size_t kHashedBytes = 512;

[[nodiscard]] std::array<std::uint8_t, 16> siphash_2_4_128(const SipKey& key, std::span<const std::uint8_t> data);

/// The fingerprint of a value of any length: SipHash of its length (u64, little-endian) and its first 512 bytes.
/// Callers keep the fingerprints of values under kMinFingerprintedBytes to themselves.
[[nodiscard]] Fingerprint fingerprint_of(const SipKey& key, std::string_view value);

}  // namespace keytrail::base
