// SPDX-License-Identifier: Apache-2.0
// Remembers what the programs were told to filter by, and looks whether the kernel still has it: whoever is root can
// delete and change entries of any map. Thread: the warden's only one.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <vector>

#include "agent/warden/loader.h"
#include "agent/warden/loader_tables.h"
#include "bpf/lib/control.h"

struct bpf_map;
struct keytrail_bpf;

namespace keytrail::warden {

/// Some of the keys of an LRU map, the ones that were written from here; sorted, each once.
class WrittenKeys {
 public:
  explicit WrittenKeys(std::size_t most) : most_(most) {}
  /// Over the bound nothing is remembered: the kernel gives places of a full map up itself.
  void add(kt_u64 key);
  void remove(kt_u64 key);
  [[nodiscard]] const std::vector<kt_u64>& keys() const { return keys_; }

 private:
  std::size_t most_;
  std::vector<kt_u64> keys_;
};

class TableGuard {
 public:
  /// So many calls of `check` see everything once; the variables are seen by each.
  static constexpr std::size_t kParts = 4;

  explicit TableGuard(const KernelFilter& filter) : filter_(filter) {}

  /// The tables are filled, and right. `now_ns`: ns since boot.
  void begin(keytrail_bpf& skeleton, std::uint64_t now_ns);
  void wrote_name(kt_u64 key) { names_.add(key); }
  void wrote_found(kt_u64 key) { found_.add(key); }
  void forgot_found(kt_u64 key) { found_.remove(key); }
  void set_name_slot(std::size_t slot) { name_slots_.set(slot); }
  void set_inode_slot(std::size_t slot) { inode_slots_.set(slot); }
  void set_own(std::size_t slot, std::uint32_t tgid) { own_[slot] = tgid; }

  /// Looks at a part of the tables and at all variables, and writes again what is gone or changed.
  [[nodiscard]] std::vector<Repair> check(keytrail_bpf& skeleton, std::uint64_t now_ns);

 private:
  struct Found {
    std::uint64_t wrong = 0;  ///< entries
    bool done = true;
  };
  void look(bpf_map* map, const void* key, std::size_t key_size, const void* value, std::size_t value_size,
            Found& found) const;
  void look_at_written(bpf_map* map, const WrittenKeys& written, Found& found);
  [[nodiscard]] Found mend_slots(keytrail_bpf& skeleton) const;
  [[nodiscard]] bool mend_control(keytrail_bpf& skeleton) const;
  [[nodiscard]] bool is_turn() { return turn_++ % kParts == part_; }

  const KernelFilter& filter_;
  WrittenKeys names_{2048}, found_{KT_FOUND_MAX / 2};
  std::bitset<KT_EXACT_SLOTS> name_slots_;
  std::bitset<KT_FOUND_SLOTS> inode_slots_;
  std::array<std::uint32_t, KT_OWN_PROCESSES> own_{};
  std::uint32_t heartbeat_tgid_ = 0;
  std::array<std::uint64_t, kParts> good_ns_{};  ///< when each part was last seen to be right, or put right
  std::uint64_t variables_good_ns_ = 0;
  std::size_t part_ = 0, turn_ = 0;
};

}  // namespace keytrail::warden
