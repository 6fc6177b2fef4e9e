// SPDX-License-Identifier: Apache-2.0
// What the loader asks the kernel for beside libbpf: tracepoint ids without a mounted tracefs, the root of the cgroup
// v2 tree, the controllers of cgroup v1, and which features work. Thread: the warden's only one.
#pragma once

#include <cstdint>
#include <string>

#include "agent/base/fd.h"
#include "agent/warden/plan.h"
#include "keytrail/result.h"

struct btf;

namespace keytrail::warden {

/// The kernel's attach type of cgroup/connect_unix (include/uapi/linux/bpf.h, Linux 6.7), which libbpf 1.1 does not
/// know.
inline constexpr int kCgroupUnixConnect = 49;

class Kernel {
 public:
  /// Fails when the kernel has no BTF.
  static Result<Kernel> open();
  Kernel(Kernel&& other) noexcept;
  Kernel& operator=(Kernel&&) = delete;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  ~Kernel();

  /// Tries every feature, each by loading and attaching something small.
  [[nodiscard]] Features features() const;
  /// A perf event of tracepoint syscalls:NAME, for attaching a program to it.
  [[nodiscard]] Result<base::UniqueFd> tracepoint(const std::string& name) const;
  [[nodiscard]] int cgroup_root() const { return cgroup_root_.get(); }
  /// Bit n: the controller with id n lives in a cgroup v1 hierarchy.
  [[nodiscard]] std::uint32_t v1_controllers() const;
  /// Frees the kernel's type information (5 MB), once everything is loaded; features() and v1_controllers() must not be
  /// called after it.
  void forget_types();

 private:
  Kernel() = default;
  [[nodiscard]] std::string try_trampoline() const;
  [[nodiscard]] std::string try_cgroup() const;
  static std::string try_uprobe_multi();
  static std::string try_uprobe();

  btf* btf_ = nullptr;
  base::UniqueFd tracefs_, cgroup_root_;
  std::string no_tracefs_, no_cgroup_;
};

/// "Operation not permitted", with what to do about it where that is known.
[[nodiscard]] std::string errno_text(int error);

}  // namespace keytrail::warden
