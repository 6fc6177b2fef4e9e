// SPDX-License-Identifier: Apache-2.0
// The only memory that holds secret bytes in the examiner: one mapping, locked, left out of core dumps and children,
// fenced by guard pages, wiped after each file. Thread: the examiner's only one.
#pragma once

#include <cstddef>
#include <span>

namespace keytrail::examine {

class Arena {
 public:
  /// Maps `bytes` (rounded up to pages). Where that fails, `take` gives empty spans.
  explicit Arena(std::size_t bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// `bytes` of zeroed memory, aligned to 16, valid until `wipe`; empty when the arena is used up.
  [[nodiscard]] std::span<char> take(std::size_t bytes);
  /// Of all that was taken nothing was written beyond the first `bytes`: that is given back as it is, and `wipe` makes
  /// no page of it resident.
  void keep(std::size_t bytes);
  /// Overwrites all that was taken and gives it back; the memory of an unusually large file goes back to the kernel.
  void wipe();
  /// False when the kernel would not lock the memory (RLIMIT_MEMLOCK): it may then be swapped out.
  [[nodiscard]] bool locked() const { return locked_; }
  /// True while nothing but zeros is in it: for tests.
  [[nodiscard]] bool clean() const;

 private:
  char* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
  char* begin_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t used_ = 0;
  bool locked_ = false;
};

}  // namespace keytrail::examine
