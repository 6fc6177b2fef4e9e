// SPDX-License-Identifier: Apache-2.0
// A bounded map by a text key: what was not used for longest goes first. One thread.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>

namespace keytrail::otlp {

/// The last `max` used entries.
template <typename Value>
class LastUsed {
 public:
  explicit LastUsed(std::size_t max) : max_(max) {}
  Value* find(const std::string& key) {
    const auto at = index_.find(key);
    if (at == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, at->second);
    return &at->second->second;
  }
  Value& put(const std::string& key, Value value) {
    if (Value* old = find(key)) return *old = std::move(value);
    order_.emplace_front(key, std::move(value));
    index_[key] = order_.begin();
    if (order_.size() > max_) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    return order_.front().second;
  }
  [[nodiscard]] std::size_t size() const { return order_.size(); }
  /// That of the entry which would go first; there must be one.
  [[nodiscard]] const Value& oldest() const { return order_.back().second; }

 private:
  std::size_t max_;
  std::list<std::pair<std::string, Value>> order_;
  std::unordered_map<std::string, typename std::list<std::pair<std::string, Value>>::iterator> index_;
};

}  // namespace keytrail::otlp
