// SPDX-License-Identifier: Apache-2.0
#include "agent/link/unseen.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "agent/link/acquisitions.h"

namespace keytrail::link {
namespace {

constexpr std::size_t kMostNamed = 200;     // processes
constexpr std::size_t kMostPrograms = 100;  // that called nobody

struct Missed {
  Reason reason = Reason::kExecNotSeen;
  std::vector<std::string> kinds;  ///< empty = any
};

/// In the order of the closed world, and only what may have brought a key.
std::optional<Missed> missed_of(const Instance& instance, std::span<const Gap> gaps, std::uint64_t now_ns) {
  const Doubts& doubts = instance.doubts;
  if (!doubts.exec_seen) return Missed{Reason::kExecNotSeen, {}};
  if (doubts.gap_ns != 0 || overlaps(gaps, doubts.life_from_ns, now_ns, instance.cgroups))
    return Missed{Reason::kGapInLife, {}};
  if (doubts.broker_ns != 0 || !doubts.local_talks.empty()) return Missed{Reason::kLocalBroker, {}};
  if (doubts.cut_ns != 0) return Missed{Reason::kNotSeenWhole, {}};
  if (doubts.unidentified.empty()) return std::nullopt;
  Missed out{Reason::kUnidentifiedFile, {}};
  for (const Unidentified& mark : doubts.unidentified) {
    if (mark.kind.empty()) return Missed{Reason::kUnidentifiedFile, {}};
    if (std::ranges::find(out.kinds, mark.kind) == out.kinds.end()) out.kinds.push_back(mark.kind);
  }
  return out;
}

/// Those that called nobody, counted by program.
class Quiet {
 public:
  void add(const Instance& instance, std::vector<std::string> kinds) {
    Actor actor = make_actor(instance);
    std::ranges::sort(kinds);
    ++programs_[{actor.program.empty() ? std::move(actor.comm) : std::move(actor.program),
                 std::move(actor.workload.name), std::move(kinds)}];
  }
  void into(UnseenLives& out) const {
    for (const auto& [named, count] : programs_) {
      const auto& [program, workload, kinds] = named;
      out.quiet.push_back({program, workload, kinds, count});
    }
    std::ranges::sort(out.quiet, [](const UnseenProgram& a, const UnseenProgram& b) {
      return std::tie(b.processes, a.program, a.workload) < std::tie(a.processes, b.program, b.workload);
    });
    for (; out.quiet.size() > kMostPrograms; out.quiet.pop_back())
      out.quiet_not_listed += out.quiet.back().processes;
  }

 private:
  std::map<std::tuple<std::string, std::string, std::vector<std::string>>, std::uint64_t> programs_;
};

}  // namespace

UnseenLives unseen_lives(const std::unordered_map<std::uint32_t, InstanceRef>& live, std::span<const Gap> gaps,
                         std::uint64_t now_ns) {
  UnseenLives out;
  Quiet quiet;
  for (const auto& [pid, instance] : live) {
    // A thread of the kernel has no program and does nothing. One that an event has named, of which neither start nor
    // /proc told more, did.
    const Process* process = instance->process.get();
    const bool has_program = process != nullptr && (!process->exe.empty() || process->origin == Origin::kInferred);
    if (!has_program && !instance->called) continue;
    std::optional<Missed> missed = missed_of(*instance, gaps, now_ns);
    if (!missed) continue;
    if (!instance->called)
      quiet.add(*instance, std::move(missed->kinds));
    else if (out.callers.size() >= kMostNamed)
      ++out.callers_not_listed;
    else
      out.callers.push_back({make_actor(*instance), missed->reason, std::move(missed->kinds)});
  }
  quiet.into(out);
  std::ranges::sort(out.callers, {}, [](const UnseenLife& one) { return one.actor.id.tgid; });
  return out;
}

}  // namespace keytrail::link
