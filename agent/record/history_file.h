// SPDX-License-Identifier: Apache-2.0
// The history's files: who may own and see them, the lock that keeps a second process out, the reserve.
#pragma once

#include <cstdint>
#include <string>

#include "agent/base/fd.h"
#include "keytrail/result.h"

namespace keytrail::record {

/// Of the reserve file, behind the name of the history.
inline constexpr char kReserveSuffix[] = ".reserve";

class HistoryFile {
 public:
  /// Checks directory and file, creates the file (0600, empty) if it is missing, and takes the lock.
  static Result<HistoryFile> open(const std::string& path);

  /// Canonical: no part of it is a symbolic link.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t log_bytes() const;   ///< size of the write-ahead log
  [[nodiscard]] std::uint64_t free_bytes() const;  ///< on its file system, for us
  /// Makes the reserve file if it is missing. False: there is no room for it and twice as much again.
  bool make_reserve(std::uint64_t bytes) const;
  bool drop_reserve() const;

 private:
  std::string path_;
  base::UniqueFd lock_;
};

}  // namespace keytrail::record
