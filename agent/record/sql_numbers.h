// SPDX-License-Identifier: Apache-2.0
// Numbers of stored enumerators as SQL texts write them: literals, so that the texts stay constants. Each is checked
// against its enumerator here; write none by hand.
#pragma once

#include "keytrail/row.h"

#define KT_SQL_ACQUISITION "1"
#define KT_SQL_USE "2"
#define KT_SQL_FINDING "3"
#define KT_SQL_REVISION "5"
#define KT_SQL_OPEN "0"
#define KT_SQL_RESOLVED "1"

namespace keytrail::record {

template <typename E, std::size_t kSize>
consteval bool is_number_of(const char (&text)[kSize], E enumerator) {
  return kSize == 2 && text[0] - '0' == static_cast<int>(enumerator);
}
static_assert(is_number_of(KT_SQL_ACQUISITION, RowKind::kAcquisition));
static_assert(is_number_of(KT_SQL_USE, RowKind::kUse));
static_assert(is_number_of(KT_SQL_FINDING, RowKind::kFinding));
static_assert(is_number_of(KT_SQL_REVISION, RowKind::kRevision));
static_assert(is_number_of(KT_SQL_OPEN, FindingState::kOpen));
static_assert(is_number_of(KT_SQL_RESOLVED, FindingState::kResolved));

}  // namespace keytrail::record
