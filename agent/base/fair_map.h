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
    std::list<Item>& own = it->second->owner->items;
    own.splice(own.begin(), own, it->second);
    return &it->second->value;
  }

  /// The value, made when unknown: it stays its first owner's. `second` is true when it was made.
  std::pair<V*, bool> get(const std::string& owner, const std::string& key) {
    if (V* known = find(key)) return {known, false};
    if (index_.size() >= limit_) evict();
    const auto at = owners_.try_emplace(owner).first;
    Owner& own = at->second;
    own.name = &at->first;
    resize(own, [&] { own.items.push_front({&own, key, {}}); });
    index_.emplace(own.items.front().key, own.items.begin());
    return {&own.items.front().value, true};
  }

  void erase(const std::string& key) {
    const auto it = index_.find(key);
    if (it != index_.end()) erase(it->second);
  }

  /// Calls `call(key, value)` for each; it must change nothing but the value.
  template <typename Call>
  void each(const Call& call) {
    for (auto& [name, owner] : owners_) {
      for (Item& item : owner.items)
        call(item.key, item.value);
    }
  }

  [[nodiscard]] std::size_t size() const { return index_.size(); }
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }

 private:
  struct Owner;
  struct Item {
    Owner* owner;
    std::string key;
    V value;
  };
  struct Owner {
    const std::string* name = nullptr;
    std::list<Item> items;
  };
  struct BySize {
    bool operator()(const Owner* one, const Owner* other) const {
      if (one->items.size() != other->items.size()) return one->items.size() < other->items.size();
      return *one->name < *other->name;
    }
  };

  void evict() {
    const auto stalest = std::prev((*by_size_.rbegin())->items.end());
    if (on_evict_) on_evict_(stalest->key, stalest->value);
    erase(stalest);
    ++evicted_;
  }

  void erase(typename std::list<Item>::iterator item) {
    Owner& own = *item->owner;
    index_.erase(item->key);
    resize(own, [&] { own.items.erase(item); });
    if (own.items.empty()) owners_.erase(owners_.find(*own.name));
  }

  /// `change` adds or removes one of its items.
  template <typename Change>
  void resize(Owner& own, const Change& change) {
    auto place = by_size_.extract(&own);
    change();
    if (own.items.empty()) return;
    if (place.empty())
      by_size_.insert(&own);
    else
      by_size_.insert(std::move(place));
  }

  std::size_t limit_;
  std::uint64_t evicted_ = 0;
  std::unordered_map<std::string, Owner> owners_;  ///< none without an item
  std::set<Owner*, BySize> by_size_;
  std::unordered_map<std::string_view, typename std::list<Item>::iterator> index_;  ///< names are the items' own
  std::function<void(const std::string&, V&)> on_evict_;
};

}  // namespace keytrail::base
