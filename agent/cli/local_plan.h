// SPDX-License-Identifier: Apache-2.0
// How the hooks would be armed on this machine, without an agent: the warden tries it and prints it (`keytrail-warden
// --plan`).
#pragma once

#include <string>
#include <vector>

#include "keytrail/hooks.h"
#include "keytrail/result.h"

namespace keytrail::cli {

/// Asks the warden beside this program; needs root. kRefused: not root; kNotFound: no warden; else why it could not
/// load: a sentence. `config`: a file that may take hooks away, or empty for the default.
[[nodiscard]] Result<std::vector<HookReport>> local_plan(const std::string& config);

}  // namespace keytrail::cli
