// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/lost_slots.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace keytrail::warden {
namespace {

constexpr std::size_t kBytes = std::size_t{KT_LOST_SLOTS} * sizeof(kt_lost);
constexpr std::uint64_t kNobody = ~std::uint64_t{0};  ///< two wanted it at once, and neither has it

}  // namespace

LostSlots::~LostSlots() {
  if (slots_ != nullptr) ::munmap(slots_, kBytes);
}

Result<void> LostSlots::map(int fd) {
  void* at = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED)
    return fail(Error::Code::kSystem, std::string("mmap of the cgroups' losses: ") + std::strerror(errno));
  slots_ = static_cast<kt_lost*>(at);
  return {};
}

std::size_t LostSlots::give_back(const std::function<bool(std::uint64_t cgroup_id)>& is_gone) {
  std::size_t freed = 0;
  for (std::size_t i = 0; slots_ != nullptr && i < KT_LOST_SLOTS; ++i) {
    kt_lost& slot = slots_[i];
    const std::uint64_t id = __atomic_load_n(&slot.cgroup_id, __ATOMIC_ACQUIRE);
    const bool wanted = __atomic_load_n(&slot.takers, __ATOMIC_ACQUIRE) != 0;
    const std::uint64_t owner = id == 0 && wanted ? kNobody : id;
    if (owner == 0 || (owner != kNobody && !is_gone(owner))) {
      gone_[i] = 0;
      continue;
    }
    if (gone_[i] != owner) {
      gone_[i] = owner;
      continue;
    }
    // Nobody adds to it any more. Last the mark by which the kernel side takes a slot: until then it is nobody's.
    for (kt_u64& lost : slot.lost)
      __atomic_store_n(&lost, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&slot.cgroup_id, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&slot.takers, 0, __ATOMIC_RELEASE);
    gone_[i] = 0;
    ++freed;
  }
  return freed;
}

CgroupIds::CgroupIds(const char* root) : root_(::open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  struct statfs kind{};
  if (root_ && (::fstatfs(root_.get(), &kind) != 0 || kind.f_type != CGROUP2_SUPER_MAGIC)) root_.reset();
}

bool CgroupIds::is_gone(std::uint64_t cgroup_id) const {
  constexpr int kKernfs = 0xFE;  // FILEID_KERNFS: the id is the handle
  if (!root_ || cgroup_id >> 56U != 0) return false;
  alignas(file_handle) std::array<unsigned char, sizeof(file_handle) + sizeof(cgroup_id)> bytes{};
  auto* handle = reinterpret_cast<file_handle*>(bytes.data());
  handle->handle_bytes = sizeof(cgroup_id);
  handle->handle_type = kKernfs;
  std::memcpy(handle->f_handle, &cgroup_id, sizeof(cgroup_id));
  const base::UniqueFd found(::open_by_handle_at(root_.get(), handle, O_PATH | O_CLOEXEC));
  return !found && errno == ESTALE;
}

}  // namespace keytrail::warden
