// SPDX-License-Identifier: Apache-2.0
// Shell-like patterns, for the matcher and for the tool that makes its tables. Any thread; no state.
#pragma once

#include <string_view>

namespace keytrail::catalog {

/// '*' any run of characters, '?' one. Time is bounded by the product of the lengths.
[[nodiscard]] bool glob(std::string_view pattern, std::string_view text);

}  // namespace keytrail::catalog
