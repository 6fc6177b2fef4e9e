// SPDX-License-Identifier: Apache-2.0
// How the hooks would be armed on this machine, without an agent: the warden tries it and prints it (`keytrail-warden --plan`).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/serve/status_source.h"
#include "keytrail/result.h"

namespace keytrail::cli {

/// Asks the warden beside this program; needs root. kRefused: not root; kNotFound: no warden; else why it could not load: a sentence.
/// `config`: a file that may take hooks away, or empty for the default.
[[nodiscard]] Result<std::vector<serve::FamilyStatus>> local_plan(const std::string& config);

/// What the warden prints. Lines of another form are passed over.
[[nodiscard]] std::vector<serve::FamilyStatus> parse_plan(std::string_view text);

}  // namespace keytrail::cli
