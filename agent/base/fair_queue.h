// SPDX-License-Identifier: Apache-2.0
// What many owners share, fairly: room (FairShares) and turns (FairQueue). An owner is a path of groups, the widest
// first (a cgroup, a program in it, a process): at each level each group counts as one, so that nobody gains by being
// many. Nothing is taken away from anybody: who asks for more than its share is refused. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

namespace keytrail::base {

inline constexpr std::size_t kOwnerLevels = 3;
/// From the widest group to the narrowest, by numbers.
using Owners = std::array<std::uint64_t, kOwnerLevels>;

/// Room for `limit` things. A group may have one more as long as it has less than what is then left to others: of the
/// whole to the first level, of that without its own to the next. So one process alone gets a quarter, one cgroup a
/// half, and whoever comes next always finds room (Choudhury and Hahne's dynamic thresholds).
class FairShares {
  struct State {
    std::size_t limit = 0, taken = 0;
    std::array<std::unordered_map<std::uint64_t, std::size_t>, kOwnerLevels> groups;

    static std::array<std::uint64_t, kOwnerLevels> names(const Owners& owner) {
      std::array<std::uint64_t, kOwnerLevels> out{};
      std::uint64_t name = 0x9E3779B97F4A7C15U;
      for (std::size_t level = 0; level < kOwnerLevels; ++level) {
        name = (name ^ owner[level]) * 0xD6E8FEB86659FD93U;
        out[level] = name ^= name >> 32U;
      }
      return out;
    }
    /// `weight`: how often the group is counted.
    [[nodiscard]] bool has_room(const Owners& owner, std::size_t more, std::size_t weight) const {
      if (taken >= limit) return false;
      std::size_t left = limit - taken;
      const auto name = names(owner);
      for (std::size_t level = 0; level < kOwnerLevels; ++level) {
        const auto group = groups[level].find(name[level]);
        const std::size_t has = group == groups[level].end() ? 0 : group->second;
        if ((has + more - 1) * weight >= left) return false;
        left -= has;
      }
      return true;
    }
    void add(const Owners& owner, std::size_t more) {
      const auto name = names(owner);
      for (std::size_t level = 0; level < kOwnerLevels; ++level)
        groups[level][name[level]] += more;
      taken += more;
    }
    void remove(const Owners& owner, std::size_t count) {
      const auto name = names(owner);
      for (std::size_t level = 0; level < kOwnerLevels; ++level) {
        const auto group = groups[level].find(name[level]);
        group->second -= count;
        if (group->second == 0) groups[level].erase(group);
      }
      taken -= count;
    }
  };

 public:
  /// What one owner has. Given back when it ends; it may outlive the FairShares.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept
        : state_(std::move(other.state_)), owner_(other.owner_), count_(std::exchange(other.count_, 0)) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(state_, other.state_);
      std::swap(owner_, other.owner_);
      std::swap(count_, other.count_);
      return *this;
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() {
      if (state_ && count_ != 0) state_->remove(owner_, count_);
    }
    [[nodiscard]] explicit operator bool() const { return count_ != 0; }
    [[nodiscard]] std::size_t count() const { return count_; }
    /// Adds to it. False, and nothing is added, when that is more than its owner may have.
    [[nodiscard]] bool grow(std::size_t more = 1) {
      if (more == 0) return true;
      if (!state_ || !state_->has_room(owner_, more, 1)) return false;
      state_->add(owner_, more);
      count_ += more;
      return true;
    }

   private:
    friend class FairShares;
    std::shared_ptr<State> state_;
    Owners owner_{};
    std::size_t count_ = 0;
  };

  explicit FairShares(std::size_t limit) : state_(std::make_shared<State>()) { state_->limit = limit; }

  /// Room for one; an empty share when its owner has too much.
  [[nodiscard]] Share take(const Owners& owner) {
    Share out = none(owner);
    (void)out.grow();
    return out;
  }
  /// Whether `take` would give it.
  [[nodiscard]] bool has_room(const Owners& owner) const { return state_->has_room(owner, 1, 1); }
  /// A share of nothing yet, that may grow.
  [[nodiscard]] Share none(const Owners& owner) {
    Share out;
    out.state_ = state_;
    out.owner_ = owner;
    return out;
  }
  /// Whether its owner has about half of what it may have.
  [[nodiscard]] bool is_half_full(const Owners& owner) const { return !state_->has_room(owner, 1, kHalf); }
  [[nodiscard]] std::size_t size() const { return state_->taken; }

 private:
  /// Counted four times, one process alone gets a seventh instead of a quarter.
  static constexpr std::size_t kHalf = 4;
  std::shared_ptr<State> state_;
};

/// Turns: each group of a level in turn, and in it each group of the next; what one owner has comes in its order. Not
/// bounded: whoever puts something in holds a share of the room for it.
template <typename T, std::size_t Level = 0>
class FairQueue {
 public:
  void push(const Owners& owner, T item) {
    const auto [group, fresh] = groups_.try_emplace(owner[Level]);
    if (fresh) turns_.push_back(owner[Level]);
    group->second.push(owner, std::move(item));
    ++size_;
  }
  /// The next; must not be empty.
  [[nodiscard]] T pop() {
    const std::uint64_t name = turns_.front();
    turns_.pop_front();
    const auto group = groups_.find(name);
    T out = group->second.pop();
    if (group->second.empty()) {
      groups_.erase(group);
    } else {
      turns_.push_back(name);
    }
    --size_;
    return out;
  }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
  std::deque<std::uint64_t> turns_;
  std::unordered_map<std::uint64_t, FairQueue<T, Level + 1>> groups_;
};

template <typename T>
class FairQueue<T, kOwnerLevels> {
 public:
  void push(const Owners& /*owner*/, T item) { items_.push_back(std::move(item)); }
  [[nodiscard]] T pop() {
    T out = std::move(items_.front());
    items_.pop_front();
    return out;
  }
  [[nodiscard]] bool empty() const { return items_.empty(); }

 private:
  std::list<T> items_;  // a deque of none takes half a kilobyte, and most processes have one or two
};

}  // namespace keytrail::base
