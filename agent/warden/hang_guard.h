// SPDX-License-Identifier: Apache-2.0
// What the opener's children share with the warden: each says which file system it is about to wait for, so that the
// warden knows it when the child does not come back; the warden says which ones nobody is to wait for. In: mounts
// and keys of slow ways. Out: whether to go on. Memory that both map; every field is one word of its own.
// Thread: the only one of each process.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace keytrail::warden {

inline constexpr std::size_t kOpenerChildren = 4;
inline constexpr std::size_t kMaxShunned = 32;

struct HangBoard {
  struct Child {
    std::atomic<std::uint64_t> request = 0;  ///< its number while it is being worked on, else 0
    std::atomic<std::uint64_t> waits = 0;    ///< what it waits for: a key below; 0: for nothing that may hang
    std::atomic<std::uint32_t> user = 0;     ///< whom it works for
    std::atomic<std::uint32_t> careful = 0;  ///< 1: only for what answered before; others of this user hang already
  };
  std::array<Child, kOpenerChildren> children;
  std::array<std::atomic<std::uint64_t>, kMaxShunned> shunned;  ///< keys that are not to be waited for
  std::array<std::atomic<std::uint64_t>, 64> answered;          ///< keys that did answer
};

/// A mount, by its number: to ask for the superblock's is to ask the file system.
[[nodiscard]] constexpr std::uint64_t key_of_mount(std::uint64_t number) { return (1ULL << 63U) | number; }
[[nodiscard]] constexpr bool is_mount(std::uint64_t key) { return (key >> 63U) != 0; }
/// A mount for one user: his late files say little of it. Other keys name him already.
[[nodiscard]] constexpr std::uint64_t key_of_user(std::uint64_t key, std::uint32_t user) {
  if (!is_mount(key)) return key;
  const std::uint64_t hash = ((((0xcbf29ce484222325 ^ key) * 0x100000001b3) ^ user) * 0x100000001b3);
  return (3ULL << 62U) | hash;
}
/// A way that is not in the kernel's memory, whose file systems nobody knows before: by who asked, in which mount
/// namespace and, of root (who is many) and those that are gone, below which folder.
[[nodiscard]] constexpr std::uint64_t key_of_way(std::uint32_t mnt_ns, std::uint64_t uid, std::uint64_t folder) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::uint64_t part : {std::uint64_t{mnt_ns}, uid, folder})
    hash = (hash ^ part) * 0x100000001b3;
  return (hash & ~(1ULL << 63U)) | 1U;
}

/// One child's view. Without a board (tests) everything may be waited for.
class HangGuard {
 public:
  HangGuard() = default;
  HangGuard(HangBoard& board, std::size_t child) : board_(&board), child_(child) {}

  void begin(std::uint64_t request) const {
    if (board_ == nullptr) return;
    own().waits = 0;
    own().request = request;
  }
  void end() const {
    if (board_ != nullptr) own().request = 0;
  }
  /// Told before each step that may hang. False: it is not to be taken.
  [[nodiscard]] bool may_wait_for(std::uint64_t key) const {
    if (board_ == nullptr || key == 0) return true;
    const std::uint64_t of_user = key_of_user(key, own().user);
    for (const auto& one : board_->shunned) {
      if (const std::uint64_t shunned = one; shunned == key || shunned == of_user) return false;
    }
    if (own().careful != 0 && !has_answered(key)) return false;
    own().waits = key;
    return true;
  }
  /// What comes next is none of what was waited for, and nothing is known of that yet.
  void rest() const {
    if (board_ != nullptr) own().waits = 0;
  }
  /// What was waited for gave what was asked of it.
  void answered() const {
    if (board_ == nullptr) return;
    if (const std::uint64_t key = own().waits; key != 0) board_->answered[key % board_->answered.size()] = key;
    own().waits = 0;
  }

 private:
  [[nodiscard]] HangBoard::Child& own() const { return board_->children[child_]; }
  [[nodiscard]] bool has_answered(std::uint64_t key) const {
    return board_->answered[key % board_->answered.size()] == key;
  }

  HangBoard* board_ = nullptr;
  std::size_t child_ = 0;
};

}  // namespace keytrail::warden
