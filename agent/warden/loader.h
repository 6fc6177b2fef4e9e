// SPDX-License-Identifier: Apache-2.0
// Loads and attaches the kernel programs by a plan, and owns the maps. libbpf lives behind this header and nowhere
// else. Thread: the warden's only one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/warden/target_table.h"
#include "bpf/lib/control.h"
#include "keytrail/hooks.h"
#include "keytrail/result.h"

namespace keytrail::warden {

/// Descriptors of the maps in which the next warden can go on: both rings, both counters, and which openings were
/// reported (the worker asks for files that the rest of a ring names). -1: none.
struct KeptFds {
  int high = -1, low = -1, counters = -1, cgroups_lost = -1, reported = -1;
};

struct LoaderOptions {
  std::array<std::uint8_t, 16> fingerprint_key{};
  std::vector<std::string> disabled_features;  ///< --no-feature=NAME
  std::vector<std::string> configured_off;     ///< hooks.disable of the configuration
  std::uint32_t ring_bytes_high = 8U << 20U;   ///< power of two
  std::uint32_t ring_bytes_low = 8U << 20U;
  std::uint32_t budget_per_cgroup = 50'000;  ///< events per second and cgroup; 0 = none
  KeptFds kept;                              ///< to go on in, where they fit; they stay the caller's
};

/// What of the kernel side was not as it had been left, and what was done about it.
struct Repair {
  const char* cause = "";     ///< GapRow::cause: "hook_detached", "map_changed"
  std::string family;         ///< whose events may be missing; empty: anyone's
  std::uint64_t from_ns = 0;  ///< ns since boot when it was last seen to be right, or was told of last
  bool done = false;          ///< it is right again
  std::string text;           ///< one sentence
};

class Loader {
 public:
  /// Loads and attaches all families, each alone: one that is refused is reported and does not stop the others.
  /// Fails only when nothing can work (no BTF, no CAP_BPF): the message says what to do.
  static Result<std::unique_ptr<Loader>> load(const LoaderOptions& options, const catalog::KernelTables& tables);
  virtual ~Loader() = default;

  /// Map descriptors for inheritance by the worker, which maps them itself: ring (BPF_MAP_TYPE_RINGBUF) and counters
  /// (mmapable array of u64).
  [[nodiscard]] virtual int high_ring_fd() const = 0;
  [[nodiscard]] virtual int low_ring_fd() const = 0;
  [[nodiscard]] virtual int counters_fd() const = 0;
  /// What cgroups lost because their budget was spent (mmapable array of kt_lost), for the worker too.
  [[nodiscard]] virtual int cgroups_lost_fd() const = 0;
  /// What the next warden can go on in.
  [[nodiscard]] virtual KeptFds to_keep() const = 0;
  /// Whether these are LoaderOptions::kept; else why not (kNotFound: none were given).
  [[nodiscard]] virtual const Result<void>& resumed() const = 0;
  [[nodiscard]] virtual std::uint32_t cpus() const = 0;      ///< counter blocks in the array
  [[nodiscard]] virtual std::uint64_t armed_ns() const = 0;  ///< ns since boot when the last family was attached
  [[nodiscard]] virtual const std::vector<HookReport>& report() const = 0;

  /// Own processes (warden, examiner, worker): their hits are counted as filtered.
  virtual Result<void> set_own_process(std::uint32_t slot, std::uint32_t tgid) = 0;
  /// Sends every task, open key file and connected socket through the rings, then KT_EV_BASELINE_DONE. Forgets cgroups.
  virtual Result<void> sweep() = 0;
  /// Each cgroup is announced again with its next event. To be called when a worker has ended: the next one has met
  /// none of them, and one may be gone before it begins.
  virtual void forget_cgroups() = 0;
  /// Sends a sample of each socket that carried a payload (iter/task_file).
  virtual Result<void> sample_sockets() = 0;
  /// Files with this base name become interesting, while running.
  virtual Result<void> watch_name(const std::string& base_name) = 0;
  /// From now on this file (kernel's device) is interesting under whatever name, and so is whatever has this name in a
  /// folder of this name; or (not `on`) they are no more. An inode of 0, or an empty name: only the other.
  virtual Result<void> watch_found(std::uint64_t inode, std::uint32_t dev, std::string_view name,
                                   std::string_view folder, bool on = true) = 0;
  /// Whether the kernel side has sent an event of this opening of a file, however long ago, unless very many came since
  /// (KT_REPORTED_SETS). False of an inode of 0.
  [[nodiscard]] virtual bool was_opened(const kt_opened& what) const = 0;
  /// Takes out the arguments that were kept at the exec of this program, at most KT_KEPT_MAX bytes; none are kept:
  /// kUnavailable.
  virtual Result<std::size_t> take_arguments(const kt_exec& program, std::span<char> out) = 0;
  /// Forgets kept arguments that were there at the last call already: nobody asked for them (their event was lost).
  virtual void drop_old_arguments() = 0;
  /// Where programs run at places found while running.
  virtual TargetTable& targets() = 0;
  /// Looks whether the programs are still attached and filter by what they were told, and puts right what is not. To be
  /// called every 2 s: a table is seen whole by four calls.
  virtual std::vector<Repair> check() = 0;
  /// Sends something through each armed family; a KT_EV_HEARTBEAT per family must follow.
  virtual Result<void> heartbeat() = 0;
};

}  // namespace keytrail::warden
