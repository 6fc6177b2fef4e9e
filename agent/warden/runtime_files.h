// SPDX-License-Identifier: Apache-2.0
// What container runtimes write down of a container, where the machine's own runtimes keep it. The worker names a
// container and which kind of file; the path is made here, and only what root owns is opened. Thread: an opener's only
// one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/warden/opener.h"

namespace keytrail::warden {

/// Further `state` folders of containerd. Called once, before the first child is forked.
void add_containerd_states(const std::vector<std::string>& folders);

/// `request.hints`: `kinds` is the container's id (is_bundle_id), `format` BundleQuestion's. Gives the first file that
/// there is; kGone where there is none. Blocks as long as the file system does.
[[nodiscard]] Opening open_runtime_file(const role::Open& request, const HangGuard& guard);
/// The same below `root`, in place of the machine's.
[[nodiscard]] Opening open_runtime_file(int root, const role::Open& request, const HangGuard& guard);

}  // namespace keytrail::warden
