// SPDX-License-Identifier: Apache-2.0
#include "agent/link/holdings.h"

#include <unordered_set>

namespace keytrail::link {
namespace {

/// The same for somebody else: the durable table knows nothing of it.
Held anew(Held held) {
  held.dirty = true;
  held.stored = nullptr;
  return held;
}

}  // namespace

std::vector<Held>& Holdings::change() {
  if (!block_ || block_.use_count() > 1) block_ = std::make_shared<Block>(block_ ? block_->list : List{});
  block_->of_fork = false;
  block_->fork = block_->lost = block_->lost_of_shell = nullptr;
  return block_->list;
}

Holdings Holdings::of_fork() const {
  if (!block_ || block_->of_fork) return *this;
  Holdings out;
  if (!block_->fork) {
    List list;
    list.reserve(size());
    for (const Held& held : *this) {
      Held& one = list.emplace_back(anew(held));
      if (one.how == How::kDirect || one.how == How::kExec) one.how = How::kFork;
      one.last_use_ns = 0;
    }
    block_->fork = std::make_shared<Block>(std::move(list));
    block_->fork->of_fork = true;
  }
  out.block_ = block_->fork;
  return out;
}

Holdings Holdings::lost_at_exec(bool shell) const {
  Holdings out;
  if (!block_) return out;
  std::shared_ptr<Block>& lost = shell ? block_->lost_of_shell : block_->lost;
  if (!lost) {
    List list;
    std::unordered_set<std::string_view> known;
    for (const Held& held : *this) {
      const bool kept = held.how == How::kHelper && !shell;
      if (held.how == How::kLostAtExec || kept || held.superseded_ns != 0) continue;
      if (!known.insert(held.what->key.id).second) continue;
      list.emplace_back(anew(held)).how = How::kLostAtExec;
    }
    lost = std::make_shared<Block>(std::move(list));
  }
  out.block_ = lost;
  return out;
}

}  // namespace keytrail::link
