// SPDX-License-Identifier: Apache-2.0
// What a question probably meant: key ids as they are stored, words that nothing knows, the beginning of an id.
// An answer that is empty because of a typing error must not read as "none seen". Thread: serve's.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/catalog/catalog.h"
#include "keytrail/history_reader.h"
#include "keytrail/result.h"

namespace keytrail::serve {

/// A key id without blanks around it, in the letters of its kind: "akia… " is AKIA…, "FP:AB…" is fp:ab….
[[nodiscard]] std::string folded_key(const catalog::Catalog& catalog, std::string_view text);

/// "" when the text may be a whole id, else what its kind's ids look like.
[[nodiscard]] std::string wrong_shape(std::string_view id);

/// A word without blanks around it, in small letters.
[[nodiscard]] std::string folded_word(std::string_view text);

/// A word that is none of the catalog's vocabularies or of the finding types: what is said of it, with the nearest.
/// "" when each is known. A word that is not may have been seen all the same.
[[nodiscard]] std::string unknown_word(const catalog::Catalog& catalog, std::span<const std::string_view> finding_types,
                                       const HistoryFilter& asked);

/// For a question without an answer. Error kInvalid: the provider, service, kind or type is in no catalog and in no
/// row (with the nearest), the workload was never seen and others have names like it, or the key is unknown and the
/// beginning of known ones, or has not the shape of its kind. `workload_known`: it was seen, or none is asked for.
[[nodiscard]] Result<void> check_meant(HistoryReader& history, const catalog::Catalog& catalog,
                                       std::span<const std::string_view> finding_types, const HistoryFilter& asked,
                                       bool workload_known);

/// The same for a key alone.
[[nodiscard]] Result<void> check_key_meant(HistoryReader& history, const std::string& key);

}  // namespace keytrail::serve
