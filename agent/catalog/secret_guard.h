// SPDX-License-Identifier: Apache-2.0
// Keeps a secret that stands where it does not belong (typed as a key id, written into a label) out of requests, logs,
// answers and facts. Pure; any thread.
#pragma once

#include <string_view>

#include "agent/catalog/catalog.h"

namespace keytrail::catalog {

inline constexpr char kSecretTyped[] = "that is a secret, not a key ID";

/// True when `text` has the form of a secret value rather than of a key id ("AKIA…", "fp:…", "login@host #5a0c…",
/// a UUID, 40 hex digits).
[[nodiscard]] bool looks_like_secret(const Catalog& catalog, std::string_view text);

}  // namespace keytrail::catalog
