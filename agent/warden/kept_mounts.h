// SPDX-License-Identifier: Apache-2.0
// Mount namespaces held for a moment longer than they live: a container or unit of one short process is gone before
// what it opened is looked at. In: processes that the worker names at their exec. Out: a root to open through. Thread:
// the opener's only one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "agent/base/fd.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {

class KeptMounts {
 public:
  /// Mounts in use elsewhere cannot be taken away: an unmount of a volume in a kept namespace waits as long.
  static constexpr std::uint64_t kLongerNs = 3'000'000'000;
  static constexpr std::size_t kMax = 128;  ///< three descriptors each

  /// Keeps the mounts of this process until kLongerNs after its end. Nothing when it is gone, when they are the
  /// warden's own, or when a live process keeps them already. Over kMax those that were kept first go.
  void keep(const role::KeepMounts& asked);
  /// Lets go of those whose process has ended long enough ago; call about once a second. `now_ns`: of any clock that
  /// does not jump.
  void drop_ended(std::uint64_t now_ns);
  /// The root directory, O_PATH, that a process of this namespace had; -1 when it is not kept.
  [[nodiscard]] int root_of(std::uint32_t mnt_ns) const;
  [[nodiscard]] std::size_t size() const { return kept_.size(); }

 private:
  struct Kept {
    base::UniqueFd process;       ///< /proc/PID
    base::UniqueFd mounts, root;  ///< without the first, the root alone would lose what is mounted below it
    std::uint64_t number = 0;     ///< grows
    std::uint64_t ended_ns = 0;   ///< when its process was first found ended; 0: it lives
  };
  std::map<std::uint32_t, Kept> kept_;  ///< by mount namespace
  std::uint64_t last_ = 0;
};

}  // namespace keytrail::warden
