// SPDX-License-Identifier: Apache-2.0
// What is news: an acquisition is a row when it is new for its workload, user, executable or content. Bounded. One
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/lru_map.h"
#include "agent/link/instance.h"
#include "keytrail/clock.h"
#include "keytrail/row.h"

namespace keytrail::link {

[[nodiscard]] Actor make_actor(const Instance& instance);

class Acquisitions {
 public:
  explicit Acquisitions(std::size_t limit) : seen_(limit) {}

  /// True once for this workload, user, executable, key and slot.
  [[nodiscard]] bool is_news(const Instance& instance, const Key& key, const Slot& slot);
  /// True once for this workload, executable, path and reason.
  [[nodiscard]] bool is_unread_news(const Instance& instance, std::string_view path, std::string_view reason);
  [[nodiscard]] std::uint64_t repeats() const { return repeats_; }

 private:
  bool first_time(const std::string& text);
  base::LruMap<std::string, bool> seen_;
  std::uint64_t repeats_ = 0;
};

}  // namespace keytrail::link
