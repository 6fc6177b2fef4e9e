// SPDX-License-Identifier: Apache-2.0
// A damaged history is put aside under another name, so that a new one can begin; what it holds stays for who wants to
// look. Thread: any, one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "keytrail/result.h"

namespace keytrail::record {

/// So many stay, the newest.
inline constexpr std::size_t kMostPutAside = 2;

struct PutAside {
  std::string name;             ///< "/var/lib/keytrail/history.db.damaged-20261129T235016Z"
  std::int64_t written_ns = 0;  ///< Unix ns when it was last written
};

/// Says beside the history that it is damaged: its next opening puts it aside, also when nothing of the damage shows
/// then.
void mark_damaged(const std::string& path);
[[nodiscard]] bool is_marked_damaged(const std::string& path);
/// The file holds nothing, though a history was there: its reserve file still is. SQLite would take it for a new one,
/// and throw the log away.
[[nodiscard]] bool is_emptied(const std::string& path);

/// Renames the history with its log, takes the mark away, and removes those that were put aside before but for the
/// newest. Fails when another process has the history, or the directory cannot be written.
[[nodiscard]] Result<PutAside> put_aside(const std::string& path, std::int64_t now_ns);

/// Those that lie beside the history, oldest first.
[[nodiscard]] std::vector<std::string> all_put_aside(const std::string& path);

}  // namespace keytrail::record
