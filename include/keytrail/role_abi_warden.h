// SPDX-License-Identifier: Apache-2.0
// The messages between warden and worker: what the worker asks for, what the warden reports. Beside each direction's
// structs stand the checks of their lengths and their sizes. Included by role_abi.h.
#pragma once

#include <array>
#include <cstdint>

#include "keytrail/hooks.h"
#include "keytrail/role_abi_parts.h"

namespace keytrail::role {

// ---- worker → warden ----

inline constexpr std::uint32_t kOpenLook = 1U << 0U;     ///< see FileQuestion::look
inline constexpr std::uint32_t kOpenAnySize = 1U << 1U;  ///< within the warden only: nothing of it is read
inline constexpr std::uint32_t kOpenTold = 1U << 2U;     ///< see FileQuestion::told

struct Open {
  Head head;
  std::uint64_t start_ns = 0;  ///< of the process, ns since boot; 0: not checked
  std::uint32_t tgid = 0;
  std::uint32_t exec = 0;
  std::uint32_t mnt_ns = 0;  ///< 0: unknown, then only `tgid` serves
  std::uint32_t flags = 0;
  std::uint32_t alternatives_count = 0;
  std::uint32_t pad = 0;
  std::array<std::uint32_t, kMaxAlternatives> alternatives{};
  Identity file;
  Hints hints;
  Text<1022> path;
  Text<1022> teller;  ///< see FileQuestion::teller
};

/// Attach a family's programs to places of this file, found as in Open. kTarget with the same request number answers.
struct AttachTarget {
  Head head;
  std::uint64_t start_ns = 0;  ///< as in Open
  std::uint32_t tgid = 0;
  std::uint32_t mnt_ns = 0;
  std::uint32_t family = 0;
  std::uint32_t this_process = 0;  ///< 1: only in `tgid`; 0: wherever the file is mapped
  std::uint32_t alternatives_count = 0;
  std::uint32_t offsets_count = 0;
  std::array<std::uint32_t, kMaxAlternatives> alternatives{};
  Identity file;
  std::array<std::uint64_t, kMaxTargetOffsets> offsets{};
  Text<1022> path;
};

struct DetachTarget {
  Head head;
  std::uint32_t target = 0;
  std::uint32_t pad = 0;
};

/// Keep the mounts of this process for a moment after its end: nothing else may be left to open its files through.
struct KeepMounts {
  Head head;
  std::uint64_t start_ns = 0;  ///< as in Open
  std::uint32_t tgid = 0;
  std::uint32_t mnt_ns = 0;
};

struct WatchName {
  Head head;
  Text<254> base_name;
};

/// A key was found in this file, at this place.
struct WatchFound {
  Head head;
  std::uint64_t inode = 0;  ///< 0: not known (a place of an earlier run)
  std::uint32_t dev = 0;    ///< kernel encoding
  std::uint32_t over = 0;   ///< 1: to be watched no more
  Text<254> name;           ///< empty: the file alone
  Text<254> folder;         ///< the last part of its path; empty for the root
};

// ---- warden → worker ----

struct Hello {
  Head head;
  std::uint64_t started_ns = 0;  ///< ns since boot when the warden began
  std::uint64_t armed_ns = 0;    ///< ns since boot when the last family was attached
  /// Random, drawn when rings and counters were made: the counters begin with it.
  std::array<std::uint8_t, 16> session{};
  std::uint32_t cpus = 0;     ///< counter blocks
  std::uint32_t hooks = 0;    ///< kHook messages that follow
  std::uint32_t remarks = 0;  ///< kRemark messages that follow
  std::uint32_t life = 0;     ///< 1 for the first worker of this warden
  std::uint32_t resumed = 0;  ///< 1: rings and counters are older than this warden
  std::uint32_t pad = 0;
};

struct HookRefused {
  Text<62> name;
  Text<158> why;
};

struct Hook {
  Head head;
  std::uint32_t family = 0;
  std::uint32_t refused_count = 0;
  std::uint32_t sees_less = 0;  ///< 1: than the best alternatives
  std::uint32_t reserved = 0;
  Text<190> chosen;
  Text<126> cost;
  Text<382> missing;
  std::array<HookRefused, kMaxRefused> refused{};
};

/// What could not be had (a sandbox, the user), for `status`; also kSandboxRemark from the examiner.
struct Remark {
  Head head;
  Text<254> text;
};

/// One of the three processes as it is now, for `status`; sent again when it was started anew.
struct RoleState {
  Head head;
  std::uint32_t pid = 0;
  std::uint32_t lives = 0;  ///< how often it was started
  Text<14> name;            ///< "warden", "examiner", "worker"
  Text<62> ended;           ///< how its last life ended; empty in its first
};

struct OpenFailed {
  Head head;
  std::uint16_t unread = 0;     ///< enum Unread
  std::uint16_t unchanged = 0;  ///< 1: `look` found what was there before
  std::uint32_t pad = 0;
  Identity file;  ///< what is there now, where known
};

/// A period that may lack something: the worker makes a gap row of it. Head::request is its number, which kStored names
/// when that row is stored: else the next worker is told of it again.
struct Notice {
  Head head;
  std::uint64_t from_ns = 0;  ///< ns since boot
  std::uint64_t to_ns = 0;
  Text<30> cause;   ///< GapRow::cause: "examiner_restart", "worker_restart"
  Text<254> text;   ///< one sentence
  Text<14> family;  ///< GapRow::family: what the gap is about; empty = "open"
};

/// A target as it is now: the answer to kAttachTarget (its request number), to kReportTargets and kDetachTarget, and
/// when one is dropped.
struct Target {
  Head head;
  std::uint64_t hits = 0;
  std::uint32_t target = 0;  ///< its number; 0 when it was refused
  std::uint16_t state = 0;   ///< TargetReport::State
  std::uint16_t family = 0;
  Text<254> text;
};

/// After the targets of a report.
struct TargetCounts {
  Head head;
  std::uint32_t attached = 0;
  std::uint32_t bound = 0;
  std::uint64_t over_bound = 0;
  std::uint64_t refused = 0;
  std::uint64_t dropped = 0;
};

namespace detail {
inline bool lengths_ok(const Open& m) {
  return m.alternatives_count <= kMaxAlternatives && lengths_ok(m.hints) && m.path.valid() && m.teller.valid();
}
inline bool lengths_ok(const AttachTarget& m) {
  return m.family < kFamilies && m.this_process <= 1 && (m.this_process == 0 || m.tgid != 0) &&
         m.alternatives_count <= kMaxAlternatives && m.offsets_count >= 1 && m.offsets_count <= kMaxTargetOffsets &&
         m.path.valid();
}
inline bool lengths_ok(const DetachTarget&) { return true; }
inline bool lengths_ok(const KeepMounts&) { return true; }
inline bool lengths_ok(const Target& m) {
  return m.state <= static_cast<std::uint32_t>(TargetReport::State::kDropped) && m.family < kFamilies && m.text.valid();
}
inline bool lengths_ok(const TargetCounts&) { return true; }
inline bool lengths_ok(const WatchName& m) { return m.base_name.valid(); }
inline bool lengths_ok(const WatchFound& m) { return m.name.valid() && m.folder.valid(); }
inline bool lengths_ok(const Hello&) { return true; }
inline bool lengths_ok(const Hook& m) {
  bool ok = known<Family>(m.family) && m.sees_less <= 1 && m.refused_count <= kMaxRefused && m.chosen.valid() &&
            m.cost.valid() && m.missing.valid();
  for (const HookRefused& refused : m.refused)
    ok = ok && refused.name.valid() && refused.why.valid();
  return ok;
}
inline bool lengths_ok(const RoleState& m) { return m.name.valid() && m.ended.valid(); }
inline bool lengths_ok(const Remark& m) { return m.text.valid(); }
inline bool lengths_ok(const OpenFailed& m) { return unread_ok(m.unread) && m.unchanged <= 1; }
inline bool lengths_ok(const Notice& m) {
  return m.cause.valid() && m.text.valid() && m.family.valid() && m.from_ns <= m.to_ns;
}
}  // namespace detail

static_assert(sizeof(Open) == 16 + 32 + 32 + 40 + 376 + 2 * 1024);
static_assert(sizeof(AttachTarget) == 16 + 32 + 32 + 40 + 128 + 1024);
static_assert(sizeof(DetachTarget) == 24);
static_assert(sizeof(Target) == 16 + 16 + 256);
static_assert(sizeof(TargetCounts) == 48);
static_assert(sizeof(WatchName) == 272);
static_assert(sizeof(WatchFound) == 16 + 16 + 256 + 256);
static_assert(sizeof(Hello) == 72);
static_assert(sizeof(RoleState) == 16 + 8 + 16 + 64);
static_assert(sizeof(HookRefused) == 224);
static_assert(sizeof(Hook) == 16 + 16 + 192 + 128 + 384 + 8 * 224);
static_assert(sizeof(Remark) == 272);
static_assert(sizeof(OpenFailed) == 64);
static_assert(sizeof(Notice) == 16 + 16 + 32 + 256 + 16);

}  // namespace keytrail::role
