// SPDX-License-Identifier: Apache-2.0
// Keeps a secret that was typed where a key id belongs out of requests, logs and answers. Pure; any thread.
#pragma once

#include <string_view>

#include "agent/catalog/catalog.h"

namespace keytrail::serve {

inline constexpr char kSecretTyped[] = "that is a secret, not a key ID";

/// True when `text` has the form of a secret value rather than of a key id ("AKIA…", "fp:…", "login@host #5a0c…",
/// a UUID, 40 hex digits).
[[nodiscard]] bool looks_like_secret(const catalog::Catalog& catalog, std::string_view text);

}  // namespace keytrail::serve
