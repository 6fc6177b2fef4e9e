// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/loader_kernel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "agent/warden/targets.h"

namespace keytrail::warden {
namespace {

/// A file system seen only by us: nothing appears in any mount namespace, nothing is left behind.
base::UniqueFd private_mount(const char* type) {
  const base::UniqueFd context(fsopen(type, FSOPEN_CLOEXEC));
  if (!context || fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return {};
  return base::UniqueFd(
      fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
}

base::UniqueFd open_tracefs(std::string& why) {
  for (const char* path : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    base::UniqueFd fd(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (fd && faccessat(fd.get(), "events/syscalls", F_OK, 0) == 0) return fd;
  }
  base::UniqueFd fd = private_mount("tracefs");
  if (!fd) why = "tracefs is not mounted on /sys/kernel/tracing and cannot be mounted: " + errno_text(errno);
  return fd;
}

/// The root of the v2 tree has inode 1; a mount inside a cgroup namespace may show only a part of it.
base::UniqueFd open_cgroup_root(std::string& why) {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line;
  while (std::getline(mounts, line)) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream fields(line);
    std::string skip, root, point;
    fields >> skip >> skip >> skip >> root >> point;
    base::UniqueFd fd(::open(point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status{};
    if (fd && fstat(fd.get(), &status) == 0 && status.st_ino == 1) return fd;
  }
  base::UniqueFd fd = private_mount("cgroup2");
  struct stat status{};
  if (fd && fstat(fd.get(), &status) == 0 && status.st_ino == 1) {
    return base::UniqueFd(openat(fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  why = "the root of the cgroup v2 tree is not visible: mount the host's /sys/fs/cgroup";
  return {};
}

}  // namespace

std::string errno_text(int error) {
  std::array<char, 128> buffer{};
  return strerror_r(error, buffer.data(), buffer.size());
}

Result<Kernel> Kernel::open() {
  Kernel kernel;
  kernel.btf_ = btf__load_vmlinux_btf();
  if (kernel.btf_ == nullptr) {
    return fail(Error::Code::kUnavailable,
                "This kernel does not describe its own structures (no /sys/kernel/btf/vmlinux): it needs "
                "CONFIG_DEBUG_INFO_BTF=y. Distribution kernels since about 2021 have it.");
  }
  kernel.tracefs_ = open_tracefs(kernel.no_tracefs_);
  kernel.cgroup_root_ = open_cgroup_root(kernel.no_cgroup_);
  return kernel;
}

Kernel::Kernel(Kernel&& other) noexcept
    : btf_(std::exchange(other.btf_, nullptr)),
      tracefs_(std::move(other.tracefs_)),
      cgroup_root_(std::move(other.cgroup_root_)),
      no_tracefs_(std::move(other.no_tracefs_)),
      no_cgroup_(std::move(other.no_cgroup_)) {}

Kernel::~Kernel() { btf__free(btf_); }

void Kernel::forget_types() { btf__free(std::exchange(btf_, nullptr)); }

Result<base::UniqueFd> Kernel::tracepoint(const std::string& name) const {
  if (!tracefs_) return fail(Error::Code::kUnavailable, no_tracefs_);
  const std::string path = "events/syscalls/" + name + "/id";
  const base::UniqueFd file(openat(tracefs_.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 16> text{};
  if (!file || read(file.get(), text.data(), text.size() - 1) <= 0)
    return fail(Error::Code::kNotFound, "this kernel has no tracepoint " + name + " (CONFIG_FTRACE_SYSCALLS)");
  perf_event_attr attr{};
  attr.type = PERF_TYPE_TRACEPOINT;
  attr.size = sizeof(attr);
  attr.config = std::strtoull(text.data(), nullptr, 10);
  attr.sample_period = 1;
  attr.wakeup_events = 1;
  base::UniqueFd event(static_cast<int>(syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event)
    return fail(Error::Code::kRefused, "perf_event_open: " + errno_text(errno) +
                                           " (needs CAP_PERFMON, with kernel.perf_event_paranoid of 3 CAP_SYS_ADMIN)");
  return event;
}

std::string Kernel::try_trampoline() const {
  // `return 0` on entry of the function that the real program uses.
  const std::array<bpf_insn, 2> program{
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0}, {.code = BPF_JMP | BPF_EXIT}}};
  const int id = btf__find_by_name_kind(btf_, "security_file_open", BTF_KIND_FUNC);
  if (id < 0) return "the kernel's BTF has no security_file_open";
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_FENTRY,
              .attach_btf_id = static_cast<std::uint32_t>(id));
  const base::UniqueFd fd(
      bpf_prog_load(BPF_PROG_TYPE_TRACING, "try_fentry", "GPL", program.data(), program.size(), &options));
  if (!fd) return "trampolines are refused at load: " + errno_text(errno);
  const base::UniqueFd link(bpf_raw_tracepoint_open(nullptr, fd.get()));
  if (!link) return "trampolines are refused at attach: " + errno_text(errno);
  return {};
}

// Without CAP_NET_ADMIN none of them loads, and each would cost the verifier a try of all programs.
std::string Kernel::try_cgroup() const {
  if (!cgroup_root_) return no_cgroup_;
  const std::array<bpf_insn, 2> program{
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1}, {.code = BPF_JMP | BPF_EXIT}}};
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);
  const base::UniqueFd fd(
      bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "try_cgroup", "GPL", program.data(), program.size(), &options));
  return fd ? "" : "cgroup programs are refused at load: " + errno_text(errno) + " (they need CAP_NET_ADMIN)";
}

namespace {

/// What the tried uprobes stand on; it is never called.
[[gnu::noinline]] void uprobe_here() { asm volatile(""); }

/// `return 0`, as a program for targets.
base::UniqueFd load_nothing(bpf_attach_type type) {
  const std::array<bpf_insn, 2> program{
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0}, {.code = BPF_JMP | BPF_EXIT}}};
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = type);
  return base::UniqueFd(
      bpf_prog_load(BPF_PROG_TYPE_KPROBE, "try_uprobe", "GPL", program.data(), program.size(), &options));
}

std::uint64_t own_place() { return offset_in_own_file(reinterpret_cast<const void*>(&uprobe_here)); }

}  // namespace

std::string Kernel::try_uprobe_multi() {
  const base::UniqueFd program = load_nothing(static_cast<bpf_attach_type>(kUprobeMultiType));
  if (!program) return "uprobe_multi links are refused at load: " + errno_text(errno) + " (Linux 6.6)";
  const base::UniqueFd link = link_uprobe_multi(program.get(), "/proc/self/exe", {own_place()}, 0, 0);
  return link ? "" : "uprobe_multi links are refused at attach: " + errno_text(errno) + " (Linux 6.6)";
}

std::string Kernel::try_uprobe() {
  const base::UniqueFd program = load_nothing(static_cast<bpf_attach_type>(0));
  if (!program) return "uprobes are refused at load: " + errno_text(errno);
  const PerfUprobe probe = link_uprobe(program.get(), "/proc/self/exe", own_place(), 0, 0);
  return probe.link ? "" : "uprobes are refused at attach: " + errno_text(errno) + " (they need CAP_SYS_ADMIN)";
}

Features Kernel::features() const {
  Features out;
  const auto set = [&out](Feature feature, std::string why) {
    out[static_cast<std::size_t>(feature)] = std::move(why);
  };
  set(Feature::kTrampoline, try_trampoline());
  if (access("/sys/bus/event_source/devices/kprobe/type", R_OK) != 0)
    set(Feature::kKprobe, "this kernel is built without kprobes");
  if (const auto event = tracepoint("sys_exit_openat"); !event) set(Feature::kTracepoint, event.error().message);
  if (btf__find_by_name_kind(btf_, "bpf_rdonly_cast", BTF_KIND_FUNC) < 0)
    set(Feature::kRdonlyCast, "bpf_rdonly_cast came with Linux 6.2");
  if (btf__find_by_name_kind(btf_, "btf_trace_sched_process_exec", BTF_KIND_TYPEDEF) < 0)
    set(Feature::kBtfTrace, "the kernel's BTF has no tracepoint types");
  if (btf__find_by_name_kind(btf_, "bpf_iter__task_file", BTF_KIND_STRUCT) < 0)
    set(Feature::kIterator, "no bpf_iter__task_file");
  set(Feature::kCgroup, try_cgroup());
  if (btf__find_by_name_kind(btf_, "bpf_sock_addr_set_sun_path", BTF_KIND_FUNC) < 0)
    set(Feature::kCgroupUnix, "cgroup/connect_unix came with Linux 6.7");
  set(Feature::kUprobeMulti, try_uprobe_multi());
  set(Feature::kUprobe, try_uprobe());
  return out;
}

std::uint32_t Kernel::v1_controllers() const {
  const int id = btf__find_by_name_kind(btf_, "cgroup_subsys_id", BTF_KIND_ENUM);
  if (id < 0) return 0;
  const btf_type* type = btf__type_by_id(btf_, static_cast<std::uint32_t>(id));
  const auto id_of = [&](const std::string& name) {
    for (int i = 0; i < btf_vlen(type); ++i) {
      const struct btf_enum& value = btf_enum(type)[i];
      if (name == btf__name_by_offset(btf_, value.name_off)) return value.val;
    }
    return -1;
  };
  std::uint32_t mask = 0;
  std::ifstream file("/proc/cgroups");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with('#')) continue;
    std::istringstream fields(line);
    std::string name;
    unsigned hierarchy = 0;
    fields >> name >> hierarchy;
    const int number = id_of((name == "blkio" ? "io" : name) + "_cgrp_id");
    if (hierarchy != 0 && number >= 0 && number < 16) mask |= 1U << static_cast<unsigned>(number);
  }
  return mask;
}

}  // namespace keytrail::warden
