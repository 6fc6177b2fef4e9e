// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/kept_notices.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace keytrail::warden {

void KeptNotices::keep(const role::Notice& message) {
  if (waiting_.size() < kMost) return waiting_.push_back(message);
  auto same = std::ranges::find_if(waiting_, [&](const role::Notice& one) {
    return one.cause.view() == message.cause.view() && one.family.view() == message.family.view();
  });
  if (same == waiting_.end()) {
    same = std::prev(waiting_.end());
    same->family.assign("*");
  }
  same->from_ns = std::min(same->from_ns, message.from_ns);
  same->to_ns = std::max(same->to_ns, message.to_ns);
}

std::optional<role::Notice> KeptNotices::next() {
  if (waiting_.empty() || told_.size() >= kMost) return std::nullopt;
  role::Notice& out = told_.emplace_back(waiting_.front());
  waiting_.pop_front();
  out.head.request = ++number_;
  return out;
}

void KeptNotices::stored(std::uint64_t number) {
  while (!told_.empty() && told_.front().head.request <= number)
    told_.pop_front();
}

void KeptNotices::take_back() {
  const std::deque<role::Notice> later = std::exchange(waiting_, {});
  for (const std::deque<role::Notice>& some : {std::exchange(told_, {}), later}) {
    for (const role::Notice& one : some)
      keep(one);
  }
}

}  // namespace keytrail::warden
