// SPDX-License-Identifier: Apache-2.0
// An immutable list that copies share: a forked process has its parent's variables, and there may be 200,000 processes.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

namespace keytrail {

/// Reads like a `const std::vector<T>`; a copy costs one reference count. Changing one (push_back) copies what others
/// share first.
template <typename T>
class SharedList {
 public:
  using value_type = T;
  using const_iterator = const T*;

  SharedList() = default;
  SharedList(std::vector<T> items)  // NOLINT(google-explicit-constructor): assigned from a vector as if it were one
      : items_(items.empty() ? nullptr : std::make_shared<std::vector<T>>(std::move(items))) {}
  SharedList(std::initializer_list<T> items) : SharedList(std::vector<T>(items)) {}

  [[nodiscard]] const_iterator begin() const { return items_ ? items_->data() : nullptr; }
  [[nodiscard]] const_iterator end() const { return begin() + size(); }
  [[nodiscard]] std::size_t size() const { return items_ ? items_->size() : 0; }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] const T& operator[](std::size_t index) const { return (*items_)[index]; }
  [[nodiscard]] const T& front() const { return items_->front(); }
  [[nodiscard]] const T& back() const { return items_->back(); }

  void push_back(T item) {
    auto copy = items_ ? std::make_shared<std::vector<T>>(*items_) : std::make_shared<std::vector<T>>();
    copy->push_back(std::move(item));
    items_ = std::move(copy);
  }
  template <typename... Args>
  void emplace_back(Args&&... args) {
    push_back(T{std::forward<Args>(args)...});
  }
  void clear() { items_.reset(); }
  /// True when both share the same memory.
  [[nodiscard]] bool shares(const SharedList& other) const { return items_ == other.items_; }

 private:
  std::shared_ptr<const std::vector<T>> items_;  // null when empty; never changed once set
};

}  // namespace keytrail
