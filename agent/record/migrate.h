// SPDX-License-Identifier: Apache-2.0
// The steps that bring a history file from one format to the next; a new file takes all of them. A step that is out in
// a release is never changed: add one. Run by schema.cpp, all in one transaction.
#pragma once

#include <cstdint>
#include <span>

namespace keytrail::record {

struct Migration {
  std::int64_t to;  ///< the format that the file has afterwards; several steps may lead to one
  const char* sql;
};

/// In the order in which they are run.
[[nodiscard]] std::span<const Migration> migrations();

}  // namespace keytrail::record
