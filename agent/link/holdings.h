// SPDX-License-Identifier: Apache-2.0
// The keys that one program in one process has. Forks and the program after an exec share their list with the process
// that they come from until one of them changes its own: one that holds hundreds of keys may start programs all day.
// One thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "keytrail/key.h"

namespace keytrail::link {

/// The part of a holding that never changes: shared by all processes that inherited it.
struct HeldKey {
  Key key;
  Slot slot;
  std::string scope;               ///< of its file: see SlotChange
  std::uint64_t since_ns = 0;      ///< kernel time of the open, exec or payload that brought it
  std::uint32_t dev = 0;           ///< of its file
  std::string_view selector_rule;  ///< catalog id of the selector of its file, or ""
  Fingerprint selector_hash;
  std::string entry;     ///< where another file names its place: the entry there; `selector_rule` is of that file
  std::string host;      ///< host (and port) that the file says the entry is for, or ""
  bool current = false;  ///< the file names this entry as the one in use
  /// What its place may hold, when the key itself does not tell (catalog data); else empty.
  std::vector<std::string_view> kinds;
  bool issued = false;       ///< maybe issued: an issuer was called with `key.parent`
  bool issue_told = false;   ///< and the path of the request, or what such a key is used there for, says so
  bool issue_first = false;  ///< and `key.parent` was the likeliest key there
  bool broker = false;       ///< from a local broker: possible at most
  bool baseline = false;     ///< found by the sweep

  /// It lies in a file, or a file says where.
  [[nodiscard]] bool is_of_file() const { return slot.from == From::kFile || !entry.empty(); }
  /// By which a selector chooses it.
  [[nodiscard]] const std::string& chosen_by() const { return entry.empty() ? slot.selector : entry; }
};

struct Held {
  std::shared_ptr<const HeldKey> what;
  How how = How::kDirect;
  std::int64_t last_use_ns = 0;  ///< Unix ns
  bool announced = false;        ///< its acquisition was looked at by the news filter
  bool slot_changed = false;
  std::uint64_t superseded_ns = 0;  ///< kernel time at which it read another key from the slot of this one; 0 = not
  bool dirty = true;                ///< the durable table does not know this yet
  std::shared_ptr<const HeldKey> stored;  ///< what the stored life says of it; see life.h
  std::uint64_t opened_ns = 0;            ///< kernel time at which its place was opened again, the last; 0 = not

  [[nodiscard]] std::uint64_t last_opened_ns() const { return std::max(what->since_ns, opened_ns); }
};

/// Reads like a `const std::vector<Held>`; a copy costs one reference count.
class Holdings {
 public:
  Holdings() = default;
  Holdings(std::vector<Held> list)  // NOLINT(google-explicit-constructor): assigned from a vector as if it were one
      : block_(list.empty() ? nullptr : std::make_shared<Block>(std::move(list))) {}

  [[nodiscard]] const Held* begin() const { return block_ ? block_->list.data() : nullptr; }
  [[nodiscard]] const Held* end() const { return begin() + size(); }
  [[nodiscard]] std::size_t size() const { return block_ ? block_->list.size() : 0; }
  [[nodiscard]] const Held& operator[](std::size_t at) const { return block_->list[at]; }
  [[nodiscard]] bool empty() const { return size() == 0; }
  /// True when both share the same memory.
  [[nodiscard]] bool shares(const Holdings& other) const { return block_ == other.block_; }

  /// Its own list, to change one or to add: copies what others share first.
  [[nodiscard]] std::vector<Held>& change();
  /// What a forked process has of it: all. Made once for all forks until it is changed.
  [[nodiscard]] Holdings of_fork() const;
  /// What is lost to the program after an exec, each key once; see Holders::carry_over_exec. Made once as well.
  /// `shell`: of a shell, which starts programs with what a helper gave it.
  [[nodiscard]] Holdings lost_at_exec(bool shell) const;

 private:
  using List = std::vector<Held>;
  struct Block {
    explicit Block(List items) : list(std::move(items)) {}
    List list;
    bool of_fork = false;                              ///< it is itself what forks have of it
    std::shared_ptr<Block> fork, lost, lost_of_shell;  ///< null: not made
  };

  std::shared_ptr<Block> block_;  ///< null when there is none
};

}  // namespace keytrail::link
