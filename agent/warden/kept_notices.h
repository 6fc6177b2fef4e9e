// SPDX-License-Identifier: Apache-2.0
// What the worker is told that may lack something, kept until a worker says that it stored it: each worker is told
// once, and a new one what those before it did not store. Bounded. Pure. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "keytrail/role_abi.h"

namespace keytrail::warden {

class KeptNotices {
 public:
  /// Of those that wait, and of those that were told and are not stored.
  static constexpr std::size_t kMost = 256;

  /// Over the bound one of the same cause and family tells of both times; of a family that has none, anyone's does.
  void keep(const role::Notice& message);
  /// The next that this worker was not told, with its number (Head::request); nothing while it has kMost to store.
  [[nodiscard]] std::optional<role::Notice> next();
  /// The worker has stored all that it was told up to this number.
  void stored(std::uint64_t number);
  /// The worker ended: what it did not store waits for the next one, oldest first.
  void take_back();

 private:
  std::deque<role::Notice> waiting_, told_;
  std::uint64_t number_ = 0;
};

}  // namespace keytrail::warden
