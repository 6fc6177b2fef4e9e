// SPDX-License-Identifier: Apache-2.0
// What container runtimes write down of a container, where the machine's own runtimes keep it; and its list of users.
// The worker names a container and which kind of file; the path is made here, and only what root owns is opened.
// Thread: an opener's only one.
#pragma once

#include "agent/warden/opener.h"
#include "agent/warden/options.h"

namespace keytrail::warden {

/// Further places to look at. Called once, before the first child is forked.
void add_runtime_folders(const RuntimeFolders& folders);

/// `request.hints`: `kinds` is the container's id (is_bundle_id), `format` BundleQuestion's. Gives the first file that
/// there is; kGone where there is none. Blocks as long as the file system does.
[[nodiscard]] Opening open_runtime_file(const role::Open& request, const HangGuard& guard);
/// The same below `root`, in place of the machine's.
[[nodiscard]] Opening open_runtime_file(int root, const role::Open& request, const HangGuard& guard);

}  // namespace keytrail::warden
