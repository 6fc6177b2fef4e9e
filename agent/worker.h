// SPDX-License-Identifier: Apache-2.0
// The worker role: `keytrail agent` as the warden starts it (no privilege, inherited descriptors), and by hand, where
// it becomes the warden.
#pragma once

#include <string>
#include <vector>

#include "agent/examine/inherited.h"

namespace keytrail {

/// Runs until SIGTERM, SIGINT or the warden's end. Exit code: 0 ended in order, 1 could not run, 2 configuration
/// refused.
int run_worker(examine::InheritedFds fds, const std::string& config_path);

/// `keytrail agent --list-disabled-hooks`: prints hooks.disable of the configuration, a name per line, for the warden,
/// which parses nothing. Exit code: 0, or 2 configuration refused.
int list_disabled_hooks(const std::string& config_path);

/// `sudo keytrail agent` by hand: replaces this process with the warden in the foreground. `without`: kernel features
/// not to use, beside those of the configuration. Returns only on failure (5: needs root).
int become_warden(const std::string& config_path, const std::vector<std::string>& without);

}  // namespace keytrail
