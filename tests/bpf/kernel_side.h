// SPDX-License-Identifier: Apache-2.0
// What every test here stands on: the programs loaded with tables of the tests' own, both rings read through libbpf,
// counters summed.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/warden/loader.h"
#include "keytrail/event_abi.h"

struct ring_buffer;

namespace keytrail::tests {

/// No byte sequence of these may ever be in a ring. Each is planted by some test.
inline constexpr std::array<std::string_view, 7> kCanaries{
    "CANARYenvironment0123456789", "CANARYargument0123456789", "CANARYquery0123456789",   "CANARYheader0123456789",
    "CANARYuserinfo0123456789",    "CANARYnats0123456789",     "CANARYpassword0123456789"};

struct Record {
  std::string bytes;
  bool high = false;
  [[nodiscard]] const ev_head& head() const { return *reinterpret_cast<const ev_head*>(bytes.data()); }
  template <typename T>
  [[nodiscard]] const T& as() const {
    return *reinterpret_cast<const T*>(bytes.data());
  }
  /// What follows a T.
  template <typename T>
  [[nodiscard]] std::string_view rest() const {
    return std::string_view(bytes).substr(sizeof(T));
  }
};

/// A path of leaf-first components.
[[nodiscard]] std::string joined(std::string_view leaf_first);

using Totals = std::array<std::uint64_t, KT_COUNTERS_PER_FAMILY>;

class KernelSide {
 public:
  explicit KernelSide(const warden::LoaderOptions& options = {});
  ~KernelSide();
  KernelSide(const KernelSide&) = delete;
  KernelSide& operator=(const KernelSide&) = delete;

  warden::Loader& loader() { return *loader_; }
  /// Everything that arrived since the last call.
  std::vector<Record> drain();
  /// Of those, the events of one type by one process (0 = any).
  std::vector<Record> events(std::uint16_t type, std::uint32_t tgid);
  [[nodiscard]] Totals totals(std::uint32_t family) const;
  /// What cgroups are said to have lost because their budget was spent: of one cgroup, or (0) of all.
  [[nodiscard]] std::uint64_t lost_of(std::uint64_t cgroup_id, std::uint32_t family) const;
  /// hits = filtered + repeated + sent + lost, per family.
  void expect_identity() const;

 private:
  std::unique_ptr<warden::Loader> loader_;
  ring_buffer* rings_ = nullptr;
  const kt_u64* counters_ = nullptr;
  std::size_t counters_bytes_ = 0;
  const kt_lost* lost_ = nullptr;
  std::vector<Record> pending_;
};

/// The one that most tests share; KEYTRAIL_NO_FEATURE="fentry kprobe" in the environment takes features away.
KernelSide& kernel_side();

/// Runs `work` in a child; returns its tgid. The child's exit status is expected to be 0.
std::uint32_t in_child(const std::function<int()>& work);
/// The same in network and mount namespaces of its own, loopback up.
std::uint32_t in_namespaces(const std::function<int()>& work);

/// A directory of its own, removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }
  /// Creates a file and returns its path.
  std::string file(const std::string& name, const std::string& content = "x") const;
  [[nodiscard]] const std::string& path() const { return path_; }
  /// On a tmpfs, where a small file is shaped like a secret whatever its mode.
  [[nodiscard]] bool is_in_memory() const;

 private:
  std::string path_;
};

/// SipHash-2-4-128 over (length, first 512 bytes), written from the paper and checked against its vectors.
std::array<std::uint8_t, 16> siphash_value(const std::array<std::uint8_t, 16>& key, std::string_view value);
std::array<std::uint8_t, 16> siphash_raw(const std::array<std::uint8_t, 16>& key, std::string_view message);

inline constexpr std::array<std::uint8_t, 16> kKey{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

}  // namespace keytrail::tests
