// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/loader_guard.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "agent/warden/loader_kernel.h"
#include "agent/warden/skeleton.h"

namespace keytrail::warden {
namespace {

constexpr std::size_t kNodesPerCpu = 128;  ///< of an LRU map, that a CPU may hold ready for itself (LOCAL_FREE_TARGET)

constexpr std::size_t slot_of_name(kt_u64 key) { return static_cast<std::size_t>(key >> 8U) & (KT_EXACT_SLOTS - 1); }

Repair table_repair(std::string family, std::uint64_t from_ns, std::string text, bool done) {
  Repair out;
  out.cause = "map_changed";
  out.family = std::move(family);
  out.from_ns = from_ns;
  out.done = done;
  out.text = std::move(text) + (done ? " written again." : " could not all be written again.");
  return out;
}

std::string entries(std::uint64_t count) { return std::to_string(count) + (count == 1 ? " entry" : " entries"); }

}  // namespace

void WrittenKeys::add(kt_u64 key) {
  const auto at = std::ranges::lower_bound(keys_, key);
  if ((at == keys_.end() || *at != key) && keys_.size() < most_) keys_.insert(at, key);
}

void WrittenKeys::remove(kt_u64 key) {
  const auto at = std::ranges::lower_bound(keys_, key);
  if (at != keys_.end() && *at == key) keys_.erase(at);
}

void TableGuard::begin(keytrail_bpf& skeleton, std::uint64_t now_ns) {
  good_ns_.fill(now_ns);
  variables_good_ns_ = now_ns;
  heartbeat_tgid_ = skeleton.bss->control.heartbeat_tgid;
  name_slots_.reset();
  for (std::size_t i = 0; i < KT_EXACT_SLOTS; ++i) {
    if (skeleton.bss->name_exact[i] != 0) name_slots_.set(i);
  }
}

void TableGuard::look(bpf_map* map, const void* key, std::size_t key_size, const void* value, std::size_t value_size,
                      Found& found) const {
  std::array<char, sizeof(kt_name)> there{};
  if (value_size > there.size()) return;
  const bool known = bpf_map__lookup_elem(map, key, key_size, there.data(), value_size, 0) == 0;
  if (known && memcmp(there.data(), value, value_size) == 0) return;
  if (!known && errno != ENOENT) return;
  ++found.wrong;
  found.done = bpf_map__update_elem(map, key, key_size, value, value_size, BPF_ANY) == 0 && found.done;
}

/// An LRU map gives places up itself when it is full, and when all that is left free waits at other CPUs: then nobody
/// can tell that from a deletion.
void TableGuard::look_at_written(bpf_map* map, const WrittenKeys& written, Found& found) {
  const std::size_t ready = kNodesPerCpu * static_cast<std::size_t>(std::max(1, libbpf_num_possible_cpus()));
  if (written.keys().size() + ready >= bpf_map__max_entries(map)) return;
  const std::uint8_t one = 1;
  for (const kt_u64& key : written.keys()) {
    if (is_turn()) look(map, &key, sizeof(key), &one, sizeof(one), found);
  }
}

TableGuard::Found TableGuard::mend_slots(keytrail_bpf& skeleton) const {
  Found out;
  const auto mend = [&out](auto& there, const auto& wanted) {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (!wanted[i] || there[i] != 0) continue;
      there[i] = 1;
      ++out.wrong;
    }
  };
  mend(skeleton.bss->name_exact, name_slots_);
  mend(skeleton.bss->found_inodes, inode_slots_);
  if (out.wrong == 0) return out;
  // The programs set slots, too, for the names that they watch.
  kt_u64 key = 0;
  const kt_u64* last = nullptr;
  for (int i = 0; i < 4096 && bpf_map__get_next_key(skeleton.maps.names_watched, last, &key, sizeof(key)) == 0; ++i) {
    skeleton.bss->name_exact[slot_of_name(key)] = 1;
    last = &key;
  }
  return out;
}

/// Who stands among the agent's own processes is not seen by it.
bool TableGuard::mend_control(keytrail_bpf& skeleton) const {
  kt_control& control = skeleton.bss->control;
  bool right = control.heartbeat_tgid == heartbeat_tgid_;
  control.heartbeat_tgid = heartbeat_tgid_;
  for (std::size_t i = 0; i < own_.size(); ++i) {
    right = right && control.own[i] == own_[i];
    control.own[i] = own_[i];
  }
  return right;
}

std::vector<Repair> TableGuard::check(keytrail_bpf& skeleton, std::uint64_t now_ns) {
  std::vector<Repair> out;
  Found files, programs;
  turn_ = 0;
  filter_.each_entry(
      skeleton, [&](bpf_map* map, const void* key, std::size_t key_size, const void* value, std::size_t value_size) {
        if (is_turn()) look(map, key, key_size, value, value_size, map == skeleton.maps.names ? files : programs);
      });
  Found given_up;  // by the kernel, as it does when such a map is full, or deleted: written again, nobody is accused
  look_at_written(skeleton.maps.names_watched, names_, given_up);
  look_at_written(skeleton.maps.found, found_, given_up);
  const std::uint64_t from_ns = std::exchange(good_ns_[part_], now_ns);
  part_ = (part_ + 1) % kParts;
  if (files.wrong != 0)
    out.push_back(table_repair(
        "open", from_ns, entries(files.wrong) + " of the tables of file names were deleted by somebody,", files.done));
  if (programs.wrong != 0)
    out.push_back(table_repair(
        "exec", from_ns,
        entries(programs.wrong) + " of the tables of variables and arguments were deleted or changed by somebody,",
        programs.done));
  const std::uint64_t variables_from_ns = std::exchange(variables_good_ns_, now_ns);
  if (const Found slots = mend_slots(skeleton); slots.wrong != 0)
    out.push_back(table_repair("open", variables_from_ns,
                               entries(slots.wrong) + " of the filter of file names were cleared by somebody,", true));
  if (!mend_control(skeleton))
    out.push_back(
        table_repair("", variables_from_ns,
                     "The list of the agent's own processes, whom it does not watch, was changed by somebody,", true));
  return out;
}

}  // namespace keytrail::warden
