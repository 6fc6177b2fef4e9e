// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/surroundings.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "agent/warden/privilege.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

namespace keytrail::warden {
namespace {

constexpr std::uint64_t kFirstPidNs = 0xEFFFFFFC;  ///< PROC_PID_INIT_INO: the machine's own
constexpr std::size_t kLongest = 254;              ///< of role::Remark

struct Capability {
  int number;
  std::string_view name, costs;
  bool blinds = true;  ///< without it something is not seen, or a role runs with too much
};
constexpr std::array kCosts{
    Capability{CAP_BPF, "CAP_BPF", "kernel programs may not load"},
    Capability{CAP_PERFMON, "CAP_PERFMON", "kernel programs may not be attached"},
    Capability{CAP_NET_ADMIN, "CAP_NET_ADMIN", "connections may not be seen"},
    Capability{CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "key files in containers and environments of others stay unread"},
    Capability{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "key files of other users stay unread"},
    Capability{CAP_FOWNER, "CAP_FOWNER", "reading a key file changes its time of access", false},
    Capability{CAP_SETUID, "CAP_SETUID", "the worker cannot give root up"},
    Capability{CAP_SETGID, "CAP_SETGID", "the worker cannot give root up"},
    Capability{CAP_SETPCAP, "CAP_SETPCAP",
               "the roles have no capability, but keep the set of those that a program may give", false},
    Capability{CAP_KILL, "CAP_KILL", "a role that stops cannot be ended and started again"},
    // What it is needed for to see is said by the family that is not armed.
    Capability{CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "the examiner has no namespaces of its own", false},
    Capability{CAP_SYS_CHROOT, "CAP_SYS_CHROOT", "the examiner is kept from files by its system call filter alone",
               false},
    Capability{CAP_IPC_LOCK, "CAP_IPC_LOCK", "the examiner's memory, but for its buffers, may be swapped to a disk",
               false},
};

bool has(std::uint64_t set, int capability) {
  const auto bit = [set](int number) { return (set >> static_cast<unsigned>(number) & 1U) != 0; };
  const bool part_of_admin = capability == CAP_BPF || capability == CAP_PERFMON || capability == CAP_NET_ADMIN;
  return bit(capability) || (part_of_admin && bit(CAP_SYS_ADMIN));
}

std::string remark(std::string text, std::string_view fix, bool blinds = true) {
  if (blinds) text.insert(0, kPartlyArmed);
  const std::size_t room = kLongest - std::min(kLongest, fix.size());
  if (text.size() > room) text.resize(room);
  return text.append(fix);
}

std::uint64_t effective_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return 0;
  return std::uint64_t{data[1].effective} << 32U | data[0].effective;
}

}  // namespace

Surroundings look_around() {
  Surroundings out{.capabilities = effective_capabilities()};
  struct stat status{};
  if (stat("/proc/self/ns/pid", &status) == 0) out.pid_ns = status.st_ino;
  out.proc = access("/proc/self/stat", R_OK) == 0;
  return out;
}

Result<void> can_begin(const Surroundings& here) {
  for (const int needed : {CAP_SETUID, CAP_SETGID}) {
    if (has(here.capabilities, needed)) continue;
    const auto* const known = std::ranges::find(kCosts, needed, &Capability::number);
    return fail(Error::Code::kRefused, std::string(known->name) + " is missing: " + std::string(known->costs) +
                                           ", so nothing is started. Fix: add it to the container "
                                           "(securityContext.capabilities) or the unit.");
  }
  return {};
}

std::vector<std::string> what_is_missing(const Surroundings& here) {
  std::vector<std::string> out;
  if (here.pid_ns != 0 && here.pid_ns != kFirstPidNs)
    out.push_back(
        remark("it runs in a PID namespace of its own: the processes outside cannot be looked up, nor their files "
               "opened.",
               " Fix: hostPID: true in Kubernetes, --pid=host in Docker."));
  if (!here.proc)
    out.push_back(remark("/proc is not there, or is that of other processes: nobody can be looked up.",
                         " Fix: mount the host's /proc, and hostPID: true."));
  for (const int wanted : warden_capabilities()) {
    if (has(here.capabilities, wanted)) continue;
    const auto* const known = std::ranges::find(kCosts, wanted, &Capability::number);
    std::string text = known != kCosts.end() ? std::string(known->name) : "capability " + std::to_string(wanted);
    text.append(" is missing");
    if (known != kCosts.end()) text.append(": ").append(known->costs);
    text.append(".");
    const bool blinds = known == kCosts.end() || known->blinds;
    out.push_back(remark(text,
                         blinds ? " Fix: add it to the container (securityContext.capabilities) or the unit."
                                : " Everything is seen without it.",
                         blinds));
  }
  return out;
}

std::vector<std::string> what_is_missing(std::span<const HookReport> hooks) {
  std::vector<std::string> out;
  for (const HookReport& hook : hooks) {
    if (hook.armed() || entry_of(hook.family).optional) continue;
    std::string why;
    for (const HookReport::Refused& refused : hook.refused) {
      if (why.find(refused.why) == std::string::npos) why.append(why.empty() ? "" : "; ").append(refused.why);
    }
    if (why.empty()) why = hook.missing;
    out.push_back(remark(std::string(to_string(hook.family)) + " is not armed: " + why, " (keytrail doctor)"));
  }
  return out;
}

}  // namespace keytrail::warden
