// SPDX-License-Identifier: Apache-2.0
// The sources of identity. To add one: a file of its own that implements IdentitySource, its maker declared here, one
// line in sources.cpp, its file in CMakeLists.txt.
#pragma once

#include <memory>
#include <vector>

#include "keytrail/identity_source.h"

namespace keytrail::identify {

/// The claims of service account tokens that pods read (token_claims.cpp).
[[nodiscard]] std::unique_ptr<IdentitySource> token_claims();

/// One of each, not started.
[[nodiscard]] std::vector<std::unique_ptr<IdentitySource>> all_sources();

}  // namespace keytrail::identify
