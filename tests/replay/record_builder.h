// SPDX-License-Identifier: Apache-2.0
// Writes records as the kernel side does (event_abi.h), for unit tests, replays and benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "keytrail/event_abi.h"

namespace keytrail::replay {

using RecordBytes = std::vector<std::byte>;

struct Who {
  std::uint32_t tgid = 100;
  std::uint64_t start_ns = 1'000'000'000;
  std::uint32_t exec = 1;
  std::uint64_t cgroup_id = 1;
  std::uint32_t uid = 0, gid = 0, login_uid = UINT32_MAX;
};

inline ev_head head_of(std::uint16_t type, std::uint8_t family, std::uint64_t time_ns, const Who& who,
                       std::uint16_t flags = 0) {
  return {.time_ns = time_ns,
          .start_ns = who.start_ns,
          .cgroup_id = who.cgroup_id,
          .tgid = who.tgid,
          .tid = who.tgid,
          .exec = who.exec,
          .type = type,
          .flags = flags,
          .family = family,
          .uid = who.uid,
          .gid = who.gid,
          .login_uid = who.login_uid};
}

/// A wire struct and what follows it.
template <typename T>
RecordBytes record_of(const T& fixed, std::string_view tail = {}) {
  RecordBytes out(sizeof(T) + tail.size());
  std::memcpy(out.data(), &fixed, sizeof(T));
  if (!tail.empty()) std::memcpy(out.data() + sizeof(T), tail.data(), tail.size());
  return out;
}

/// "/a/b" → "b\0a\0".
inline std::string leaf_first(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const std::size_t slash = path.rfind('/');
    const std::string_view part = slash == std::string_view::npos ? path : path.substr(slash + 1);
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
    if (part.empty()) continue;
    out += part;
    out += '\0';
  }
  return out;
}

inline std::string item_of(std::uint8_t kind, std::string_view name, std::string_view value, std::uint8_t flags = 0,
                           std::uint16_t format = 0) {
  const std::size_t used = sizeof(ev_item) + name.size() + value.size();
  const ev_item head{.item_len = static_cast<std::uint16_t>((used + 7) & ~std::size_t{7}),
                     .kind = kind,
                     .flags = flags,
                     .name_len = static_cast<std::uint16_t>(name.size()),
                     .value_len = static_cast<std::uint16_t>(value.size()),
                     .full_len = static_cast<std::uint32_t>(value.size()),
                     .format = format};
  std::string out(reinterpret_cast<const char*>(&head), sizeof head);
  out += name;
  out += value;
  out.resize(head.item_len, '\0');
  return out;
}

/// `fixed` needs no lengths: they are set here.
inline RecordBytes exec_of(ev_exec fixed, std::string_view exe, std::string_view filename, std::string_view items) {
  const std::string leaf = leaf_first(exe);
  fixed.head.flags |= KT_F_LEAF_FIRST;
  fixed.exe_len = static_cast<std::uint16_t>(leaf.size());
  fixed.filename_len = static_cast<std::uint16_t>(filename.size());
  fixed.items_len = static_cast<std::uint32_t>(items.size());
  std::string tail = leaf + std::string(filename);
  tail.resize((tail.size() + 7) & ~std::size_t{7}, '\0');
  tail += items;
  return record_of(fixed, tail);
}

inline RecordBytes open_of(ev_open fixed, std::string_view path) {
  const std::string leaf = leaf_first(path);
  fixed.head.flags |= KT_F_LEAF_FIRST;
  fixed.path_len = static_cast<std::uint16_t>(leaf.size());
  return record_of(fixed, leaf);
}

}  // namespace keytrail::replay
