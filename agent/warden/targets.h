// SPDX-License-Identifier: Apache-2.0
// The target table over the kernel: one uprobe_multi link a target, or a perf event with a link per place. A target has
// a slot of the map target_hits (bpf/lib/targets.h), which its programs get as their cookie. Thread: the warden's only
// one.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "agent/base/fd.h"
#include "agent/warden/plan.h"
#include "agent/warden/target_table.h"
#include "bpf/lib/control.h"

struct bpf_program;

namespace keytrail::warden {

class Targets final : public TargetTable {
 public:
  explicit Targets(TargetChoice choice, std::uint32_t bound = KT_TARGETS);

  /// A program that is to run at targets, before it is loaded: the kernel wants to know the way by then.
  static void prepare(bpf_program* program, TargetWay way);
  /// The loaded program of a family, and its map of hits. Both must live as long as this.
  void serve(Family family, int program_fd, int hits_fd);

  Result<std::uint32_t> attach(const HookTarget& target, int file) override;
  Result<TargetReport> detach(std::uint32_t id) override;
  void detach_all() override { attached_.clear(); }
  std::vector<TargetReport> drop_gone() override;
  [[nodiscard]] std::vector<TargetReport> report() const override;
  [[nodiscard]] TargetCounts counts() const override;

 private:
  struct Program {
    int program = -1, hits = -1;
  };
  struct Attached {
    Family family;
    std::uint32_t slot;
    base::UniqueFd file, process;        ///< process: a pidfd, where one process is meant
    std::vector<base::UniqueFd> places;  ///< links and events; closing them detaches
  };
  [[nodiscard]] Result<Attached> try_attach(const HookTarget& target, int file);
  [[nodiscard]] Result<void> attach_places(const Program& program, const HookTarget& target, Attached& out) const;
  [[nodiscard]] TargetReport report_of(std::uint32_t id, const Attached& one, TargetReport::State state) const;
  [[nodiscard]] std::optional<std::uint32_t> free_slot() const;

  TargetChoice choice_;
  std::array<Program, kFamilies> programs_;
  std::map<std::uint32_t, Attached> attached_;  ///< by number; a number is not given twice
  std::uint32_t last_id_ = 0;
  TargetCounts counts_;
};

/// One link that runs `program_fd` at these offsets of `path`, with `cookie`; an empty descriptor and errno when
/// refused. libbpf has it since 1.3. `pid` 0: every process.
[[nodiscard]] base::UniqueFd link_uprobe_multi(int program_fd, const char* path,
                                               const std::vector<std::uint64_t>& offsets, std::uint32_t pid,
                                               std::uint64_t cookie);
/// A perf event at one offset and the link that runs `program_fd` there; the same when refused.
struct PerfUprobe {
  base::UniqueFd event, link;
};
[[nodiscard]] PerfUprobe link_uprobe(int program_fd, const char* path, std::uint64_t offset, std::uint32_t pid,
                                     std::uint64_t cookie);
/// The kernel's attach type of uprobe_multi links (include/uapi/linux/bpf.h, Linux 6.6).
inline constexpr int kUprobeMultiType = 48;

/// Where a function of this program stands in its file; 0 when it stands in none.
[[nodiscard]] std::uint64_t offset_in_own_file(const void* function);

}  // namespace keytrail::warden
