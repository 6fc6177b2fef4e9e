// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/plan.h"

#include <algorithm>

namespace keytrail::warden {
namespace {

static_assert(kHookFeatures.size() == kFeatures);

std::string_view why_not(const Alternative& alternative, const Features& features,
                         const std::map<std::string, std::string>& refused) {
  for (Feature need : alternative.needs) {
    const std::string& reason = features[static_cast<std::size_t>(need)];
    if (!reason.empty()) return reason;
  }
  const auto found = refused.find(std::string(alternative.name));
  return found == refused.end() ? std::string_view{} : std::string_view(found->second);
}

void append(std::string& list, std::string_view text, std::string_view separator) {
  if (text.empty() || list.find(text) != std::string::npos) return;
  if (!list.empty()) list += separator;
  list += text;
}

void report_choice(HookReport& report, const Alternative& choice) {
  append(report.chosen, choice.name, ", ");
  append(report.cost, choice.cost, "; ");
  append(report.missing, choice.missing, "; ");
}

}  // namespace

std::string_view to_string(Feature feature) { return kHookFeatures[static_cast<std::size_t>(feature)]; }

Result<void> disable(Features& features, std::span<const std::string> names, std::string_view by) {
  for (const std::string& name : names) {
    const auto* const found = std::ranges::find(kHookFeatures, name);
    if (found == kHookFeatures.end()) {
      std::string known;
      for (std::string_view one : kHookFeatures)
        append(known, one, ", ");
      return fail(Error::Code::kInvalid, std::string(by)
                                             .append(" ")
                                             .append(name)
                                             .append(": there is no such feature. Known are ")
                                             .append(known)
                                             .append("."));
    }
    features[static_cast<std::size_t>(found - kHookFeatures.begin())] =
        std::string("taken away by ").append(by).append(" ").append(name);
  }
  return {};
}

const std::vector<Alternative>& alternatives() {
  static constexpr std::string_view kTaxed = "every system call about +20 ns";
  static constexpr std::string_view kInherited = "descriptors inherited over an exec";
  static constexpr std::string_view kExitMisses =
      "opens through io_uring that ask for no completion, 32-bit calls of 64-bit programs, descriptors inherited over "
      "an "
      "exec or received by recvmmsg; a thread that swaps the descriptor at once can show another file";
  static constexpr std::string_view kWithoutRings =
      "opens through io_uring, 32-bit calls of 64-bit programs, descriptors inherited over an exec or received by "
      "recvmmsg; a thread that swaps the descriptor at once can show another file";
  static constexpr std::string_view kMemoryMisses =
      "memory taken by a core dump, /dev/mem, a kernel program or a 32-bit call, or of what a debugger started itself";
  static constexpr std::string_view kNoDatagrams = "unix datagram sockets";
  static const std::vector<Alternative> kTable{
      {Family::kExec,
       "exec",
       "tp_btf sched_process_exec",
       {Feature::kBtfTrace, Feature::kRdonlyCast},
       {"tp_btf__sched_process_exec_fast"},
       "",
       "",
       "",
       true},
      {Family::kExec,
       "exec",
       "tp_btf sched_process_exec with probe_read",
       {Feature::kBtfTrace},
       {"tp_btf__sched_process_exec_slow"},
       "",
       "",
       "programs that start, with the keys in their environment and arguments",
       true},

      {Family::kOpen,
       "open",
       "fentry security_file_open",
       {Feature::kTrampoline, Feature::kRdonlyCast},
       {"fentry__file_open_fast", "fentry__file_receive"},
       "",
       kInherited,
       "",
       true},
      {Family::kOpen,
       "open",
       "fentry security_file_open with probe_read",
       {Feature::kTrampoline},
       {"fentry__file_open_slow", "fentry__file_receive"},
       "",
       kInherited,
       "",
       true},
      {Family::kOpen,
       "open",
       "kprobe security_file_open",
       {Feature::kKprobe, Feature::kRdonlyCast},
       {"kprobe__file_open_fast", "kprobe__file_receive"},
       "",
       kInherited,
       "",
       true},
      {Family::kOpen,
       "open",
       "kprobe security_file_open with probe_read",
       {Feature::kKprobe},
       {"kprobe__file_open_slow", "kprobe__file_receive"},
       "",
       kInherited,
       "",
       true},
      {Family::kOpen,
       "open",
       "tracepoint sys_exit_openat",
       {Feature::kTracepoint, Feature::kBtfTrace, Feature::kRdonlyCast},
       {"tracepoint__opened_fast", "tracepoint__recvmsg", "tp_btf__io_uring_complete"},
       kTaxed,
       kExitMisses,
       "",
       true},
      {Family::kOpen,
       "open",
       "tracepoint sys_exit_openat without io_uring_complete",
       {Feature::kTracepoint, Feature::kRdonlyCast},
       {"tracepoint__opened_fast", "tracepoint__recvmsg"},
       kTaxed,
       kWithoutRings,
       "",
       true},
      {Family::kOpen,
       "open",
       "tracepoint sys_exit_openat with probe_read",
       {Feature::kTracepoint, Feature::kBtfTrace},
       {"tracepoint__opened_slow", "tracepoint__recvmsg", "tp_btf__io_uring_complete"},
       kTaxed,
       kExitMisses,
       "",
       true},
      {Family::kOpen,
       "open",
       "tracepoint sys_exit_openat with probe_read, without io_uring_complete",
       {Feature::kTracepoint},
       {"tracepoint__opened_slow", "tracepoint__recvmsg"},
       kTaxed,
       kWithoutRings,
       "files that are read",
       true},

      {Family::kOpen,
       "memory",
       "fexit process_vm_readv and ptrace",
       {Feature::kTrampoline},
       {"fexit__process_vm_readv", "fexit__ptrace"},
       "",
       kMemoryMisses,
       "",
       false},
      {Family::kOpen,
       "memory",
       "kretprobe process_vm_readv and ptrace",
       {Feature::kKprobe},
       {"kretprobe__process_vm_readv", "kretprobe__ptrace"},
       "",
       kMemoryMisses,
       "",
       false},
      {Family::kOpen,
       "memory",
       "tracepoint sys_exit_process_vm_readv and ptrace",
       {Feature::kTracepoint},
       {"tracepoint__process_vm_readv", "tracepoint__ptrace"},
       kTaxed,
       kMemoryMisses,
       "memory of other processes taken by process_vm_readv or ptrace",
       false},

      {Family::kConnect,
       "inet",
       "cgroup connect4, connect6",
       {Feature::kCgroup, Feature::kRdonlyCast},
       {"cgroup__connect4_fast", "cgroup__connect6_fast"},
       "",
       "raw and packet sockets",
       "",
       true},
      {Family::kConnect,
       "inet",
       "cgroup connect4, connect6 with probe_read",
       {Feature::kCgroup},
       {"cgroup__connect4_slow", "cgroup__connect6_slow"},
       "",
       "raw and packet sockets",
       "connections over TCP and UDP",
       true},
      {Family::kConnect,
       "udp",
       "cgroup sendmsg4, sendmsg6",
       {Feature::kCgroup, Feature::kRdonlyCast},
       {"cgroup__sendmsg4_fast", "cgroup__sendmsg6_fast"},
       "",
       "",
       "",
       false},
      {Family::kConnect,
       "udp",
       "cgroup sendmsg4, sendmsg6 with probe_read",
       {Feature::kCgroup},
       {"cgroup__sendmsg4_slow", "cgroup__sendmsg6_slow"},
       "",
       "",
       "UDP without connect (DNS, QUIC)",
       false},
      {Family::kConnect,
       "state",
       "tp_btf inet_sock_set_state",
       {Feature::kBtfTrace},
       {"tp_btf__inet_sock_set_state"},
       "",
       "",
       "whether a connection was made, its errno and its bytes",
       false},
      {Family::kConnect,
       "unix",
       "cgroup connect_unix",
       {Feature::kCgroup, Feature::kCgroupUnix},
       {"cgroup__connect_unix"},
       "",
       "",
       "",
       false},
      {Family::kConnect,
       "unix",
       "fentry security_unix_stream_connect",
       {Feature::kTrampoline},
       {"fentry__unix_stream_connect"},
       "",
       kNoDatagrams,
       "",
       false},
      {Family::kConnect,
       "unix",
       "kprobe security_unix_stream_connect",
       {Feature::kKprobe},
       {"kprobe__unix_stream_connect"},
       "",
       kNoDatagrams,
       "",
       false},
      {Family::kConnect,
       "unix",
       "tracepoint sys_enter_connect",
       {Feature::kTracepoint},
       {"tracepoint__connect"},
       kTaxed,
       "the address of a unix socket is what the caller's memory said",
       "local sockets of key brokers",
       false},

      {Family::kName,
       "payload",
       "cgroup_skb egress",
       {Feature::kCgroup, Feature::kRdonlyCast},
       {"cgroup_skb__egress_fast"},
       "every packet about +60 ns",
       "a ClientHello that the program wrote in pieces",
       "",
       true},
      {Family::kName,
       "payload",
       "cgroup_skb egress with probe_read",
       {Feature::kCgroup},
       {"cgroup_skb__egress_slow"},
       "every packet about +60 ns",
       "a ClientHello that the program wrote in pieces",
       "names of servers (SNI, Host, CONNECT)",
       true},
      {Family::kName,
       "dns",
       "cgroup_skb ingress",
       {Feature::kCgroup},
       {"cgroup_skb__ingress"},
       "every packet about +60 ns",
       "DNS over TCP, TLS, HTTPS and varlink",
       "names that were looked up",
       false},

      {Family::kLifetime,
       "life",
       "tp_btf sched_process_fork, sched_process_exit",
       {Feature::kBtfTrace, Feature::kRdonlyCast},
       {"tp_btf__sched_process_fork_fast", "tp_btf__sched_process_exit_fast"},
       "",
       "",
       "",
       true},
      {Family::kLifetime,
       "life",
       "tp_btf sched_process_fork, sched_process_exit with probe_read",
       {Feature::kBtfTrace},
       {"tp_btf__sched_process_fork_slow", "tp_btf__sched_process_exit_slow"},
       "",
       "",
       "forks and exits",
       true},
      {Family::kLifetime,
       "sweep",
       "iter task, task_file",
       {Feature::kIterator},
       {"iter__task", "iter__task_file"},
       "",
       "",
       "processes, files and connections older than the agent; activity of connections kept open",
       false},
  };
  return kTable;
}

TargetChoice target_way(const Features& features) {
  const std::string& no_multi = features[static_cast<std::size_t>(Feature::kUprobeMulti)];
  const std::string& no_perf = features[static_cast<std::size_t>(Feature::kUprobe)];
  if (no_multi.empty()) return {TargetWay::kUprobeMulti, {}};
  if (no_perf.empty()) return {TargetWay::kUprobe, {}};
  return {TargetWay::kNone, "uprobe_multi: " + no_multi + "; uprobe: " + no_perf};
}

// The ways of one part of a family stand together in the table, best first: the first that nothing speaks against is
// taken. A family whose essential part has no way is not armed at all: half of it would look like the whole.
Plan plan(const Features& features, const std::map<std::string, std::string>& refused) {
  Plan out;
  for (std::size_t i = 0; i < kFamilies; ++i)
    out.reports.push_back({.family = static_cast<Family>(i)});
  std::array<bool, kFamilies> unarmed{};
  const std::vector<Alternative>& table = alternatives();
  for (std::size_t first = 0; first < table.size();) {
    std::size_t end = first;
    while (end < table.size() && table[end].family == table[first].family && table[end].part == table[first].part)
      ++end;
    HookReport& report = out.reports[static_cast<std::size_t>(table[first].family)];
    bool found = false;
    for (std::size_t i = first; i < end && !found; ++i) {
      const std::string_view reason = why_not(table[i], features, refused);
      if (reason.empty()) {
        out.chosen.push_back(&table[i]);
        report_choice(report, table[i]);
        report.sees_less = report.sees_less || table[i].missing != table[first].missing;
        found = true;
      } else {
        report.refused.push_back({std::string(table[i].name), std::string(reason)});
      }
    }
    if (!found) {
      append(report.missing, table[end - 1].lost, "; ");
      report.sees_less = true;
      if (table[first].essential) unarmed[static_cast<std::size_t>(table[first].family)] = true;
    }
    first = end;
  }
  HookReport& request = out.reports[static_cast<std::size_t>(Family::kRequest)];
  append(request.missing, "requests inside TLS: evidence is per connection", "; ");
  for (std::size_t i = 0; i < kFamilies; ++i) {
    if (unarmed[i]) out.reports[i].chosen.clear();
  }
  return out;
}

}  // namespace keytrail::warden
