// SPDX-License-Identifier: Apache-2.0
// The known words nearest to one that was mistyped. Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace keytrail::base {

/// The known word that `word` was probably meant to be, or "". Only its first 64 bytes count.
[[nodiscard]] std::string_view nearest(std::string_view word, std::span<const std::string_view> known);
/// The three nearest as people read them, nearest first: "s3, ses or sqs"; "" when none is near.
[[nodiscard]] std::string nearest_few(std::string_view word, std::span<const std::string_view> known);

}  // namespace keytrail::base
