// SPDX-License-Identifier: Apache-2.0
// What foreign YAML must pass before a tree is built of it. Any thread; no state.
#pragma once

#include <cstddef>
#include <string>

#include "keytrail/result.h"

namespace keytrail::base {

struct YamlLimits {
  std::size_t values = 20'000;  ///< scalars, lists and maps, at most
  std::size_t depth = 16;       ///< nesting, at most
};

/// One document at most, no anchors and aliases (an alias bomb is small until it is walked), within the limits. Nothing
/// is built. The error is one line "FILE:LINE: what is wrong"; values are never part of it.
[[nodiscard]] Result<void> check_yaml(const std::string& text, const std::string& file, const YamlLimits& limits = {});

}  // namespace keytrail::base
