// SPDX-License-Identifier: Apache-2.0
// So many at once, and of one user so many of them, so that nobody keeps the others out. One thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <memory>

namespace keytrail::serve {

class Share {
 public:
  /// `first_ones`: so many more, for users that have none yet.
  Share(std::size_t limit, std::size_t of_one_user, std::size_t first_ones = 0)
      : limit_(limit), of_one_user_(of_one_user), first_ones_(first_ones) {}
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  struct GiveBack {
    uid_t uid = 0;
    void operator()(Share* share) const { share->give_back(uid); }
  };
  /// Empty: there was none left. Must not outlive the share.
  using Taken = std::unique_ptr<Share, GiveBack>;

  [[nodiscard]] Taken take(uid_t uid) {
    const auto has = of_.find(uid);
    const std::size_t limit = has == of_.end() ? limit_ + first_ones_ : limit_;
    if (all_ >= limit || (has != of_.end() && has->second >= of_one_user_)) return {};
    ++all_;
    ++of_[uid];
    return Taken(this, GiveBack{uid});
  }

 private:
  void give_back(uid_t uid) {
    --all_;
    if (--of_[uid] == 0) of_.erase(uid);
  }

  std::size_t limit_, of_one_user_, first_ones_;
  std::size_t all_ = 0;
  std::map<uid_t, std::size_t> of_;
};

}  // namespace keytrail::serve
