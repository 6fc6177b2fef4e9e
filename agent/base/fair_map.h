// SPDX-License-Identifier: Apache-2.0
// A map of bounded size in which no owner's entries push out those of others: for want of room the owner that has most
// of them gives up the one that it touched longest ago. Counts what is given up. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace keytrail::base {

template <typename V>
class FairMap {
 public:
  explicit FairMap(std::size_t limit) : limit_(limit == 0 ? 1 : limit) {}

  /// Called with what is about to be given up for want of room.
  void on_evict(std::function<void(const std::string& key, V&)> call) { on_evict_ = std::move(call); }

  /// The value, now the freshest of its owner; nullptr when unknown.
  [[nodiscard]] V* find(const std::string& key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    std::list<Item>& own = owners_.find(it->second->owner)->second;
    own.splice(own.begin(), own, it->second);
    return &it->second->value;
  }

  /// The value, made when unknown: it stays its first owner's. `second` is true when it was made.
  std::pair<V*, bool> get(const std::string& owner, const std::string& key) {
    if (V* known = find(key)) return {known, false};
    if (index_.size() >= limit_) evict();
    std::list<Item>& own = owners_[owner];
    by_size_.erase({own.size(), owner});
    own.push_front({owner, key, {}});
    by_size_.insert({own.size(), owner});
    index_.emplace(own.front().key, own.begin());
    return {&own.front().value, true};
  }

  void erase(const std::string& key) {
    const auto it = index_.find(key);
    if (it != index_.end()) erase(it->second);
  }

  /// Calls `call(key, value)` for each; it must change nothing but the value.
  template <typename Call>
  void each(const Call& call) {
    for (auto& [owner, items] : owners_) {
      for (Item& item : items)
        call(item.key, item.value);
    }
  }

  [[nodiscard]] std::size_t size() const { return index_.size(); }
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }

 private:
  struct Item {
    std::string owner, key;
    V value;
  };

  void evict() {
    const auto most = owners_.find(by_size_.rbegin()->second);
    const auto stalest = std::prev(most->second.end());
    if (on_evict_) on_evict_(stalest->key, stalest->value);
    erase(stalest);
    ++evicted_;
  }

  void erase(typename std::list<Item>::iterator item) {
    const auto owner = owners_.find(item->owner);
    by_size_.erase({owner->second.size(), owner->first});
    index_.erase(item->key);
    owner->second.erase(item);
    if (owner->second.empty()) {
      owners_.erase(owner);
    } else {
      by_size_.insert({owner->second.size(), owner->first});
    }
  }

  std::size_t limit_;
  std::uint64_t evicted_ = 0;
  std::unordered_map<std::string, std::list<Item>> owners_;
  std::set<std::pair<std::size_t, std::string>> by_size_;                           ///< of owners
  std::unordered_map<std::string_view, typename std::list<Item>::iterator> index_;  ///< names are the items' own
  std::function<void(const std::string&, V&)> on_evict_;
};

}  // namespace keytrail::base
