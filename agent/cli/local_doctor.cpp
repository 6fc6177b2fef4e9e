// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/local_doctor.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <vector>

#include "agent/base/log.h"
#include "agent/cli/fields.h"
#include "agent/cli/local_plan.h"
#include "agent/cli/render.h"
#include "agent/cli/table.h"
#include "agent/serve/status_json.h"

namespace keytrail::cli {
namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::uint64_t effective_capabilities() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapEff:")) return std::strtoull(line.c_str() + 7, nullptr, 16);
  }
  return 0;
}

void add_kernel(Table& table) {
  utsname name{};
  ::uname(&name);
  unsigned major = 0, minor = 0;
  std::sscanf(name.release, "%u.%u", &major, &minor);
  const bool enough = major > 5 || (major == 5 && minor >= 10);
  table.add({"Kernel", enough ? "full" : "none", fmt::format("{} {}", name.release, name.machine),
             enough ? "-" : "Linux 5.10 or newer is needed"});
  const bool btf = ::access("/sys/kernel/btf/vmlinux", R_OK) == 0;
  table.add({"Kernel types (BTF)", btf ? "full" : "none", "/sys/kernel/btf/vmlinux",
             btf ? "-" : "the kernel needs CONFIG_DEBUG_INFO_BTF=y"});
  const std::string lockdown = first_line("/sys/kernel/security/lockdown");
  const bool locked = lockdown.contains("[confidentiality]");
  table.add({"Lockdown", locked ? "none" : "full", lockdown.empty() ? "not in this kernel" : lockdown,
             locked ? "confidentiality mode forbids reading from BPF programs" : "-"});
}

void add_rights(Table& table) {
  constexpr std::uint64_t kOne = 1;
  const std::uint64_t have = effective_capabilities();
  const std::pair<int, const char*> wanted[] = {{CAP_BPF, "BPF"},
                                                {CAP_PERFMON, "PERFMON"},
                                                {CAP_SYS_PTRACE, "SYS_PTRACE"},
                                                {CAP_DAC_READ_SEARCH, "DAC_READ_SEARCH"}};
  std::string missing;
  for (const auto& [bit, name] : wanted) {
    if ((have & (kOne << static_cast<unsigned>(bit))) == 0)
      missing += (missing.empty() ? "" : ", ") + std::string("CAP_") + name;
  }
  table.add({"Rights of this user",
             missing.empty()    ? "full"
             : ::geteuid() == 0 ? "partial"
                                : "none",
             fmt::format("uid {}", ::geteuid()),
             missing.empty() ? "-" : "missing: " + missing + (::geteuid() == 0 ? "" : "; run it with sudo")});
}

void add_cgroup(Table& table) {
  struct statfs info{};
  const bool there = ::statfs("/sys/fs/cgroup", &info) == 0;
  const bool v2 = there && info.f_type == CGROUP2_SUPER_MAGIC;
  const bool hybrid = !v2 && ::access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0;
  table.add({"Workloads (cgroup)", there ? "full" : "partial",
             v2       ? "v2"
             : hybrid ? "v1 with v2 (hybrid)"
             : there  ? "v1"
                      : "not mounted",
             there ? "-" : "mount cgroup2 at /sys/fs/cgroup: without it a process belongs to the host only"});
  const bool systemd = ::access("/run/systemd/system", F_OK) == 0;
  table.add({"Service manager", systemd ? "full" : "partial", systemd ? "systemd" : "none",
             systemd ? "-" : "run keytrail-warden by hand or in a container"});
}

}  // namespace

namespace {

std::string plan_words(const std::string& config) {
  auto plan = local_plan(config);
  if (!plan) return base::printable(plan.error().message) + "\n";
  AgentStatus agent;
  for (HookReport& hook : *plan)
    agent.families.push_back({.hook = std::move(hook), .counters = {}});
  json::array rows;
  for (json::value& row : serve::doctor_json(agent, nullptr, {})) {
    if (row.as_object().contains("family")) rows.push_back(std::move(row));  // nothing is known of history and export
  }
  View view;
  view.show_coverage = false;
  return "An agent would see here:\n" + render_doctor({{"rows", std::move(rows)}}, view);
}

}  // namespace

std::string local_doctor(const std::string& config, std::size_t width) {
  Table table({{"THIS MACHINE OFFERS"}, {"STATE"}, {"HOW"}, {"WHAT IS MISSING, AND THE FIX"}});
  add_kernel(table);
  add_rights(table);
  add_cgroup(table);
  return table.text(width) + plan_words(config) + "The agent is not running, or cannot be asked.\n";
}

}  // namespace keytrail::cli
