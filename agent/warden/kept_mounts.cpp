// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/kept_mounts.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/warden/opener.h"
#include "agent/warden/process.h"

namespace keytrail::warden {

void KeptMounts::keep(const role::KeepMounts& asked) {
  const base::UniqueFd self = open_process(static_cast<std::uint32_t>(getpid()));
  if (asked.mnt_ns == 0 || asked.mnt_ns == mount_namespace(self.get())) return;
  if (const auto known = kept_.find(asked.mnt_ns);
      known != kept_.end() && mount_namespace(known->second.process.get()) == asked.mnt_ns)
    return;
  Kept fresh{.process = open_named(asked.tgid, asked.start_ns), .number = ++last_};
  if (!fresh.process || mount_namespace(fresh.process.get()) != asked.mnt_ns) return;
  fresh.mounts.reset(openat(fresh.process.get(), "ns/mnt", O_RDONLY | O_CLOEXEC));
  fresh.root.reset(openat(fresh.process.get(), "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fresh.mounts || !fresh.root) return;
  kept_.insert_or_assign(asked.mnt_ns, std::move(fresh));
  if (kept_.size() > kMax)
    kept_.erase(std::ranges::min_element(kept_, {}, [](const auto& one) { return one.second.number; }));
}

void KeptMounts::drop_ended(std::uint64_t now_ns) {
  for (auto at = kept_.begin(); at != kept_.end();) {
    Kept& kept = at->second;
    const bool lives = mount_namespace(kept.process.get()) == at->first;
    if (!lives && kept.ended_ns == 0) kept.ended_ns = now_ns;
    at = !lives && now_ns - kept.ended_ns >= kLongerNs ? kept_.erase(at) : std::next(at);
  }
}

int KeptMounts::root_of(std::uint32_t mnt_ns) const {
  const auto at = kept_.find(mnt_ns);
  return mnt_ns == 0 || at == kept_.end() ? -1 : at->second.root.get();
}

}  // namespace keytrail::warden
