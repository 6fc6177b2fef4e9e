// SPDX-License-Identifier: Apache-2.0
// Where key files lie, as far as the catalog names places without wildcards. Constant data (library
// keytrail_catalog_tables), for the warden.
#pragma once

#include <span>
#include <string_view>

namespace keytrail::catalog {

/// Sorted, each once: "~/…" in somebody's home, or an absolute path.
[[nodiscard]] std::span<const std::string_view> known_places();

}  // namespace keytrail::catalog
