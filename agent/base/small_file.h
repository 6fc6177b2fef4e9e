// SPDX-License-Identifier: Apache-2.0
// A whole small file that somebody else wrote: configuration, catalog additions, a token for an exporter. Any thread;
// no state.
#pragma once

#include <cstddef>
#include <string>

#include "keytrail/result.h"

namespace keytrail::base {

/// Its content, at most `max` bytes. Regular files only, opened without waiting (a FIFO blocks nobody). `trusted`: a
/// file that everybody may write is refused. Errors: kRefused (cannot be opened, of another type, not trusted),
/// kTooLarge, kSystem.
[[nodiscard]] Result<std::string> read_small_file(const std::string& path, std::size_t max, bool trusted);

}  // namespace keytrail::base
