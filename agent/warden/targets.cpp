// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/targets.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>
#include <utility>

#include "agent/warden/loader_kernel.h"
#include "keytrail/role_abi.h"

namespace keytrail::warden {
namespace {

/// union bpf_attr of BPF_LINK_CREATE with uprobe_multi (include/uapi/linux/bpf.h, Linux 6.6): newer than our headers.
struct LinkCreate {
  std::uint32_t program_fd, target_fd, attach_type, flags;
  std::uint64_t path, offsets, ref_ctr_offsets, cookies;
  std::uint32_t count, uprobe_flags, pid, pad;
};
static_assert(sizeof(LinkCreate) == 64);

std::string path_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

bool has_ended(const base::UniqueFd& process) {
  pollfd ended{process.get(), POLLIN, 0};
  return process && poll(&ended, 1, 0) > 0;
}

std::unexpected<Error> refuse(std::string sentence) { return fail(Error::Code::kRefused, std::move(sentence)); }

}  // namespace

base::UniqueFd link_uprobe_multi(int program_fd, const char* path, const std::vector<std::uint64_t>& offsets,
                                 std::uint32_t pid, std::uint64_t cookie) {
  const std::vector<std::uint64_t> cookies(offsets.size(), cookie);
  LinkCreate attr{.program_fd = static_cast<std::uint32_t>(program_fd),
                  .target_fd = 0,
                  .attach_type = kUprobeMultiType,
                  .flags = 0,
                  .path = reinterpret_cast<std::uint64_t>(path),
                  .offsets = reinterpret_cast<std::uint64_t>(offsets.data()),
                  .ref_ctr_offsets = 0,
                  .cookies = reinterpret_cast<std::uint64_t>(cookies.data()),
                  .count = static_cast<std::uint32_t>(offsets.size()),
                  .uprobe_flags = 0,
                  .pid = pid,
                  .pad = 0};
  return base::UniqueFd(static_cast<int>(syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr))));
}

PerfUprobe link_uprobe(int program_fd, const char* path, std::uint64_t offset, std::uint32_t pid,
                       std::uint64_t cookie) {
  PerfUprobe out;
  perf_event_attr attr{};
  std::ifstream("/sys/bus/event_source/devices/uprobe/type") >> attr.type;
  if (attr.type == 0) {
    errno = ENOENT;
    return out;
  }
  attr.size = sizeof(attr);
  attr.uprobe_path = reinterpret_cast<std::uint64_t>(path);
  attr.probe_offset = offset;
  const int who = pid == 0 ? -1 : static_cast<int>(pid);
  out.event.reset(
      static_cast<int>(syscall(SYS_perf_event_open, &attr, who, pid == 0 ? 0 : -1, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!out.event) return out;
  LIBBPF_OPTS(bpf_link_create_opts, options, .perf_event = {.bpf_cookie = cookie});
  out.link.reset(bpf_link_create(program_fd, out.event.get(), BPF_PERF_EVENT, &options));
  return out;
}

std::uint64_t offset_in_own_file(const void* function) {
  const auto address = reinterpret_cast<std::uint64_t>(function);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0, offset = 0;
    if (sscanf(line.c_str(), "%lx-%lx %*s %lx", &begin, &end, &offset) == 3 && address >= begin && address < end)
      return line.find('/') == std::string::npos ? 0 : address - begin + offset;
  }
  return 0;
}

Targets::Targets(TargetChoice choice, std::uint32_t bound) : choice_(std::move(choice)) {
  counts_.bound = std::min<std::uint32_t>(bound, KT_TARGETS);
}

void Targets::prepare(bpf_program* program, TargetWay way) {
  if (way == TargetWay::kUprobeMulti)
    bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(kUprobeMultiType));
}

void Targets::serve(Family family, int program_fd, int hits_fd) {
  programs_[static_cast<std::size_t>(family)] = {program_fd, hits_fd};
}

Result<std::uint32_t> Targets::attach(const HookTarget& target, int file) {
  if (attached_.size() >= counts_.bound) {
    ++counts_.over_bound;
    return fail(Error::Code::kTooLarge,
                "There are already " + std::to_string(counts_.bound) + " targets: one must go before another comes.");
  }
  Result<Attached> attached = try_attach(target, file);
  if (!attached) {
    ++counts_.refused;
    return std::unexpected(attached.error());
  }
  attached_.emplace(++last_id_, std::move(*attached));
  return last_id_;
}

Result<Targets::Attached> Targets::try_attach(const HookTarget& target, int file) {
  const Program& program = programs_[static_cast<std::size_t>(target.family)];
  if (program.program < 0)
    return refuse(std::string("This build has no program of the family ") + to_string(target.family) +
                  " that runs at targets.");
  if (choice_.way == TargetWay::kNone)
    return refuse("This kernel attaches no programs to targets: " + choice_.why + ".");
  if (target.offsets.empty() || target.offsets.size() > role::kMaxTargetOffsets)
    return refuse("A target has 1 to " + std::to_string(role::kMaxTargetOffsets) + " offsets.");
  struct stat status{};
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return refuse("A target is a regular file.");
  for (const std::uint64_t offset : target.offsets) {
    if (offset == 0 || offset >= static_cast<std::uint64_t>(status.st_size))
      return refuse("Offset " + std::to_string(offset) + " is not inside the file, which has " +
                    std::to_string(status.st_size) + " bytes.");
  }
  Attached out{.family = target.family,
               .slot = *free_slot(),
               .file = base::UniqueFd(fcntl(file, F_DUPFD_CLOEXEC, 3)),
               .process = {},
               .places = {}};
  if (!out.file) return refuse("The target's file cannot be kept: " + errno_text(errno) + ".");
  if (target.pid != 0) {
    out.process.reset(static_cast<int>(syscall(SYS_pidfd_open, target.pid, 0)));
    if (!out.process || has_ended(out.process)) return refuse("Process " + std::to_string(target.pid) + " has ended.");
  }
  const std::uint64_t zero = 0;
  if (bpf_map_update_elem(program.hits, &out.slot, &zero, BPF_ANY) != 0)
    return refuse("The target's count cannot be set: " + errno_text(errno) + ".");
  if (Result<void> done = attach_places(program, target, out); !done) return std::unexpected(done.error());
  // Its number was this process's all the time, or it is another's by now.
  if (has_ended(out.process)) return refuse("Process " + std::to_string(target.pid) + " has ended.");
  return out;
}

Result<void> Targets::attach_places(const Program& program, const HookTarget& target, Attached& out) const {
  const std::string path = path_of(out.file.get());
  if (choice_.way == TargetWay::kUprobeMulti) {
    base::UniqueFd link = link_uprobe_multi(program.program, path.c_str(), target.offsets, target.pid, out.slot);
    if (!link)
      return refuse("The kernel refuses a target at its " + std::to_string(target.offsets.size()) +
                    " offsets: " + errno_text(errno) + ".");
    out.places.push_back(std::move(link));
    return {};
  }
  for (const std::uint64_t offset : target.offsets) {
    PerfUprobe probe = link_uprobe(program.program, path.c_str(), offset, target.pid, out.slot);
    if (!probe.link)
      return refuse("The kernel refuses a target at offset " + std::to_string(offset) + ": " + errno_text(errno) + ".");
    out.places.push_back(std::move(probe.link));
    out.places.push_back(std::move(probe.event));
  }
  return {};
}

Result<TargetReport> Targets::detach(std::uint32_t id) {
  const auto at = attached_.find(id);
  if (at == attached_.end()) return fail(Error::Code::kNotFound, "There is no target " + std::to_string(id) + ".");
  at->second.places.clear();  // then the count stands
  TargetReport out = report_of(id, at->second, TargetReport::State::kDetached);
  attached_.erase(at);
  return out;
}

std::vector<TargetReport> Targets::drop_gone() {
  std::vector<TargetReport> out;
  for (auto at = attached_.begin(); at != attached_.end();) {
    const Attached& one = at->second;
    struct stat status{};
    const bool ended = has_ended(one.process);
    const bool gone = !one.process && (fstat(one.file.get(), &status) != 0 || status.st_nlink == 0);
    if (!ended && !gone) {
      ++at;
      continue;
    }
    TargetReport report = report_of(at->first, one, TargetReport::State::kDropped);
    report.text = ended ? "its process has ended" : "its file is gone";
    out.push_back(std::move(report));
    ++counts_.dropped;
    at = attached_.erase(at);
  }
  return out;
}

std::vector<TargetReport> Targets::report() const {
  std::vector<TargetReport> out;
  out.reserve(attached_.size());
  for (const auto& [id, one] : attached_)
    out.push_back(report_of(id, one, TargetReport::State::kAttached));
  return out;
}

TargetCounts Targets::counts() const {
  TargetCounts out = counts_;
  out.attached = static_cast<std::uint32_t>(attached_.size());
  return out;
}

TargetReport Targets::report_of(std::uint32_t id, const Attached& one, TargetReport::State state) const {
  TargetReport out{.state = state, .id = id, .family = one.family, .hits = 0, .text = {}};
  (void)bpf_map_lookup_elem(programs_[static_cast<std::size_t>(one.family)].hits, &one.slot, &out.hits);
  return out;
}

std::optional<std::uint32_t> Targets::free_slot() const {
  std::array<bool, KT_TARGETS> used{};
  for (const auto& [id, one] : attached_)
    used[one.slot] = true;
  const auto free = std::ranges::find(used, false);
  if (free == used.end()) return std::nullopt;
  return static_cast<std::uint32_t>(free - used.begin());
}

}  // namespace keytrail::warden
