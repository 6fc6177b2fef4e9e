// SPDX-License-Identifier: Apache-2.0
// The table in which the kernel side says whose losses were (kt_lost) has few slots, and each is its cgroup's: here
// those of cgroups that are gone are freed for others. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "agent/base/fd.h"
#include "keytrail/event_abi.h"
#include "keytrail/result.h"

namespace keytrail::warden {

class LostSlots {
 public:
  LostSlots() = default;
  LostSlots(const LostSlots&) = delete;
  LostSlots& operator=(const LostSlots&) = delete;
  ~LostSlots();

  /// Maps the array behind `fd` (not kept, not closed); before that give_back does nothing.
  Result<void> map(int fd);
  /// Frees the slots whose cgroup is gone now as it was at the call before, so that the worker has told what is in
  /// them, and those that nobody got because two wanted them at once: to be called every few seconds. Returns how many.
  std::size_t give_back(const std::function<bool(std::uint64_t cgroup_id)>& is_gone);

 private:
  kt_lost* slots_ = nullptr;
  std::array<std::uint64_t, KT_LOST_SLOTS> gone_{};  ///< of each slot the cgroup that was gone at the call before
};

/// Whether cgroups live, by their ids.
class CgroupIds {
 public:
  explicit CgroupIds(const char* root = "/sys/fs/cgroup");
  /// True only when the kernel says so: not of an id of cgroup v1, nor where the file system does not tell.
  [[nodiscard]] bool is_gone(std::uint64_t cgroup_id) const;

 private:
  base::UniqueFd root_;
};

}  // namespace keytrail::warden
