// SPDX-License-Identifier: Apache-2.0
// A map of bounded size that forgets what was touched longest ago, and counts it. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <unordered_map>
#include <utility>

namespace keytrail::base {

template <typename K, typename V, typename Hash = std::hash<K>>
class LruMap {
 public:
  using Item = std::pair<const K, V>;

  explicit LruMap(std::size_t limit) : limit_(limit == 0 ? 1 : limit) {}

  /// Called with what is about to be forgotten for want of room.
  void on_evict(std::function<void(const K&, V&)> call) { on_evict_ = std::move(call); }

  /// The value, now the freshest; nullptr when unknown.
  [[nodiscard]] V* find(const K& key) {
    const auto it = index_.find(&key);
    if (it == index_.end()) return nullptr;
    items_.splice(items_.begin(), items_, it->second);
    return &it->second->second;
  }

  /// The value, made when unknown. `second` is true when it was made.
  std::pair<V*, bool> get(const K& key) {
    if (V* known = find(key)) return {known, false};
    if (items_.size() >= limit_) {
      if (on_evict_) on_evict_(items_.back().first, items_.back().second);
      index_.erase(&items_.back().first);
      items_.pop_back();
      ++evicted_;
    }
    items_.emplace_front(std::piecewise_construct, std::forward_as_tuple(key), std::forward_as_tuple());
    index_.emplace(&items_.front().first, items_.begin());
    return {&items_.front().second, true};
  }

  void erase(const K& key) {
    const auto it = index_.find(&key);
    if (it == index_.end()) return;
    const auto item = it->second;
    index_.erase(it);
    items_.erase(item);
  }

  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }
  [[nodiscard]] std::list<Item>& items() { return items_; }

 private:
  /// Keys are in the items alone: many are long texts. (What may throw is computed once and kept.)
  struct HashOf {
    std::size_t operator()(const K* key) const { return Hash{}(*key); }
  };
  struct Same {
    bool operator()(const K* one, const K* other) const { return *one == *other; }
  };

  std::size_t limit_;
  std::uint64_t evicted_ = 0;
  std::list<Item> items_;
  std::unordered_map<const K*, typename std::list<Item>::iterator, HashOf, Same> index_;
  std::function<void(const K&, V&)> on_evict_;
};

}  // namespace keytrail::base
