// SPDX-License-Identifier: Apache-2.0
// The messages between warden, examiner and worker: one fixed struct per SOCK_SEQPACKET datagram, three socket pairs.
// All three are built together; the version is checked all the same. Unused bytes are zero. Strings are NUL-padded,
// lengths given and checked by `decode`: whoever reads trusts no length of the other side.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "keytrail/event.h"
#include "keytrail/key.h"

namespace keytrail::role {

inline constexpr std::uint16_t kVersion = 5;
inline constexpr std::size_t kMaxAlternatives = 8;
inline constexpr std::size_t kMaxRefused = 8;
inline constexpr std::size_t kMaxTargetOffsets = 16;
inline constexpr std::size_t kMaxKeysPerFile = 256;
inline constexpr std::size_t kMaxFileBytes = 1U << 20U;

/// Message types (Head.type). The name says who sends it to whom.
enum class Type : std::uint16_t {
  // worker → warden
  kOpen = 1,
  kSampleSockets,
  kSweep,
  kWatchName,
  kReady,
  kAttachTarget,
  kDetachTarget,
  kReportTargets,
  // warden → worker
  kHello = 32,
  kHook,
  kRemark,
  kRole,
  kHelloEnd,
  kOpenFailed,
  kNotice,
  kTarget,
  kTargetCounts,
  // warden → examiner, and opener
  kFingerprintKey = 64,
  kExamine,
  // examiner → warden
  kSandboxRemark = 80,
  kSandboxReady,
  // opener → warden
  kOpened = 90,
  // examiner → worker
  kKeyFact = 96,
  kEnvFact,
  kDone,
  kClaimFact,
};

/// Text of at most N bytes. `size` is checked when a message is decoded.
template <std::size_t N>
struct Text {
  std::uint16_t size = 0;
  std::array<char, N> bytes{};

  [[nodiscard]] std::string_view view() const { return {bytes.data(), std::min<std::size_t>(size, N)}; }
  /// Copies what fits; false when it was cut.
  bool assign(std::string_view text) {
    const std::size_t n = std::min(text.size(), N);
    bytes.fill(0);
    std::ranges::copy(text.substr(0, n), bytes.begin());
    size = static_cast<std::uint16_t>(n);
    return n == text.size();
  }
  [[nodiscard]] bool valid() const { return size <= N; }
};

struct Head {
  std::uint16_t version = kVersion;
  std::uint16_t type = 0;
  std::uint32_t size = 0;     ///< of the whole message
  std::uint64_t request = 0;  ///< 0 where no request is meant
};

/// FileIdentity of event.h, on the wire.
struct Identity {
  std::uint64_t inode = 0;  ///< 0: nothing known
  std::uint64_t fs_magic = 0;
  std::int64_t ctime_s = 0;
  std::uint64_t size = 0;
  std::uint32_t ctime_ns = 0;
  std::uint32_t dev = 0;  ///< kernel encoding, major << 20 | minor
};

/// What is asked of the examiner: the kinds of ExamineQuestion. The warden opens by it, the examiner reads by it.
enum class Asks : std::uint8_t { kFile, kEnvironment };
inline constexpr std::size_t kAsks = 2;

/// What was wrong with a request; `text_of` gives the words of the answers' `unread`.
enum class Unread : std::uint16_t {
  kNone,
  kGone,
  kChanged,
  kRefused,
  kTimeout,
  kTooLarge,
  kUnknownFormat,
  kBusy,
  kExaminerRestarted
};

[[nodiscard]] constexpr const char* text_of(Unread value) {
  switch (value) {
    case Unread::kNone:
      return "";
    case Unread::kGone:
      return "gone";
    case Unread::kChanged:
      return "changed";
    case Unread::kRefused:
      return "refused";
    case Unread::kTimeout:
      return "timeout";
    case Unread::kTooLarge:
      return "too large";
    case Unread::kUnknownFormat:
      return "unknown format";
    case Unread::kBusy:
      return "busy";
    case Unread::kExaminerRestarted:
      return "examiner restarted";
  }
  return "refused";
}

// ---- worker → warden ----

inline constexpr std::uint32_t kOpenLook = 1U << 0U;     ///< see FileQuestion::look
inline constexpr std::uint32_t kOpenAnySize = 1U << 1U;  ///< within the warden only: nothing of it is read

/// What the examiner has to know to read the descriptor; the warden passes it on as it is.
struct Hints {
  Text<46> format;               ///< parser's name
  Text<62> key_kind;             ///< catalog kind to give when the format does not tell
  Text<62> other_kind;           ///< the same for passwords where key_kind is none, for others where it is one
  Text<190> kinds;               ///< every kind that the place may hold, separated by blanks
  std::uint8_t key_class = 0;    ///< of key_kind, as enum KeyClass
  std::uint8_t lifetime = 0;     ///< of key_kind, as enum Lifetime
  std::uint8_t guessable = 0;    ///< 1: fingerprints of this kind stay in the examiner
  std::uint8_t asks = 0;         ///< enum Asks
  std::uint8_t other_class = 0;  ///< of other_kind, as enum KeyClass
  std::uint8_t other_lifetime = 0;
  std::uint16_t pad = 0;
};

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

/// kSampleSockets, kSweep, kReady, kReportTargets, kHelloEnd, kSandboxReady: a head alone.
struct Bare {
  Head head;
};

struct WatchName {
  Head head;
  Text<254> base_name;
};

// ---- warden → worker ----

struct Hello {
  Head head;
  std::uint64_t started_ns = 0;  ///< ns since boot when the warden began
  std::uint64_t armed_ns = 0;    ///< ns since boot when the last family was attached
  /// Random, drawn when the kernel programs were loaded: the counters begin with it.
  std::array<std::uint8_t, 16> session{};
  std::uint32_t cpus = 0;     ///< counter blocks
  std::uint32_t hooks = 0;    ///< kHook messages that follow
  std::uint32_t remarks = 0;  ///< kRemark messages that follow
  std::uint32_t life = 0;     ///< 1 for the first worker of this warden
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
  Text<254> missing;
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

/// A period that may lack something: the worker makes a gap row of it.
struct Notice {
  Head head;
  std::uint64_t from_ns = 0;  ///< ns since boot
  std::uint64_t to_ns = 0;
  Text<30> cause;  ///< GapRow::cause: "examiner_restart", "worker_restart", "heartbeat"
  Text<254> text;  ///< one sentence
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

// ---- warden → examiner ----

struct FingerprintKey {
  Head head;
  std::array<std::uint8_t, 16> key{};
};

/// One descriptor comes with it (SCM_RIGHTS).
struct Examine {
  Head head;
  Identity file;
  Hints hints;
};

/// The opener child's answer; a descriptor comes with it when `unread` is 0 and `unchanged` is 0.
struct Opened {
  Head head;
  std::uint16_t unread = 0;
  std::uint16_t unchanged = 0;
  std::uint32_t pad = 0;
  Identity file;
};

// ---- examiner → worker ----

struct KeyFact {
  Head head;
  std::int64_t issued_s = 0;
  std::int64_t expires_s = 0;
  std::array<std::uint8_t, 16> fingerprint{};
  std::array<std::uint8_t, 16> selector_hash{};
  std::uint8_t key_class = 0;
  std::uint8_t lifetime = 0;
  std::uint8_t more = 1;  ///< continuation: 1, another message of this request follows; only kDone has none after it
  std::uint8_t current = 0;
  std::uint8_t untold = 0;
  std::uint8_t pad[3]{};
  Text<254> id;
  Text<62> kind;
  Text<254> principal;
  Text<254> parent;
  Text<126> selector;
  Text<62> variable;
  Text<126> host;
};

/// A claim of the token in the last KeyFact of this request.
struct ClaimFact {
  Head head;
  Text<62> name;
  Text<254> value;
};

/// A variable of an initial environment.
struct EnvFact {
  Head head;
  std::array<std::uint8_t, 16> fingerprint{};
  std::uint32_t length = 0;  ///< of the whole value
  std::uint8_t truncated = 0;
  std::uint8_t more = 1;
  std::uint8_t pad[2]{};
  Text<70> name;
  Text<262> value;
  Text<54> format;  ///< of a secret name: the catalog's format that its value has
};

struct Done {
  Head head;
  Identity file;
  std::uint16_t unread = 0;   ///< enum Unread
  std::uint16_t keys = 0;     ///< kKeyFact messages sent for this request
  std::uint16_t env = 0;      ///< kEnvFact messages
  std::uint16_t skipped = 0;  ///< malformed entries left out
  Text<46> format;            ///< see FileAnswer::format
};

template <typename Message>
concept Wire = std::is_trivially_copyable_v<Message> && std::is_standard_layout_v<Message>;

/// A new message with its head filled in.
template <Wire Message>
[[nodiscard]] Message make(Type type, std::uint64_t request = 0) {
  Message message{};
  message.head = Head{.type = static_cast<std::uint16_t>(type), .size = sizeof(Message), .request = request};
  return message;
}

namespace detail {
/// Such a number is in the enumeration's list.
template <Worded E>
bool known(std::uint64_t number) {
  return number < UINT8_MAX && find_word(static_cast<E>(number)) != nullptr;
}
inline bool lengths_ok(const Hints& m) {
  return m.asks < kAsks && m.format.valid() && m.key_kind.valid() && m.other_kind.valid() && m.kinds.valid() &&
         known<KeyClass>(m.key_class) && known<Lifetime>(m.lifetime) && known<KeyClass>(m.other_class) &&
         known<Lifetime>(m.other_lifetime);
}
inline bool lengths_ok(const Open& m) {
  return m.alternatives_count <= kMaxAlternatives && lengths_ok(m.hints) && m.path.valid();
}
inline bool lengths_ok(const AttachTarget& m) {
  return m.family < 6 && m.this_process <= 1 && (m.this_process == 0 || m.tgid != 0) &&
         m.alternatives_count <= kMaxAlternatives && m.offsets_count >= 1 && m.offsets_count <= kMaxTargetOffsets &&
         m.path.valid();
}
inline bool lengths_ok(const DetachTarget&) { return true; }
inline bool lengths_ok(const Target& m) { return m.state <= 3 && m.family < 6 && m.text.valid(); }
inline bool lengths_ok(const TargetCounts&) { return true; }
inline bool lengths_ok(const Bare&) { return true; }
inline bool lengths_ok(const WatchName& m) { return m.base_name.valid(); }
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
inline bool unread_ok(std::uint16_t value) { return value <= static_cast<std::uint16_t>(Unread::kExaminerRestarted); }
inline bool lengths_ok(const OpenFailed& m) { return unread_ok(m.unread); }
inline bool lengths_ok(const Notice& m) { return m.cause.valid() && m.text.valid() && m.from_ns <= m.to_ns; }
inline bool lengths_ok(const FingerprintKey&) { return true; }
inline bool lengths_ok(const Examine& m) { return lengths_ok(m.hints); }
inline bool lengths_ok(const Opened& m) { return unread_ok(m.unread); }
inline bool lengths_ok(const KeyFact& m) {
  return m.id.valid() && m.kind.valid() && m.principal.valid() && m.parent.valid() && m.selector.valid() &&
         m.variable.valid() && m.host.valid() && known<KeyClass>(m.key_class) && known<Lifetime>(m.lifetime);
}
inline bool lengths_ok(const ClaimFact& m) { return m.name.valid() && m.value.valid(); }
inline bool lengths_ok(const EnvFact& m) { return m.name.valid() && m.value.valid() && m.format.valid(); }
inline bool lengths_ok(const Done& m) { return unread_ok(m.unread) && m.format.valid(); }
}  // namespace detail

/// The type of a datagram, or 0 when it is none of ours (too short, another version, a wrong size).
[[nodiscard]] inline Type type_of(const void* data, std::size_t size) {
  Head head;
  if (size < sizeof(head)) return Type{0};
  std::memcpy(&head, data, sizeof(head));
  return head.version == kVersion && head.size == size ? static_cast<Type>(head.type) : Type{0};
}

/// Copies a datagram of `type_of` into its struct; false when its size or a length in it is wrong.
template <Wire Message>
[[nodiscard]] bool decode(const void* data, std::size_t size, Message& out) {
  if (size != sizeof(Message)) return false;
  std::memcpy(static_cast<void*>(&out), data, sizeof(Message));
  return detail::lengths_ok(out);
}

/// The largest message; receive buffers have this size.
inline constexpr std::size_t kMaxMessage = 2560;

static_assert(sizeof(Head) == 16);
static_assert(sizeof(Identity) == 40);
static_assert(sizeof(Hints) == 376);
static_assert(sizeof(Open) == 16 + 32 + 32 + 40 + 376 + 1024);
static_assert(sizeof(AttachTarget) == 16 + 32 + 32 + 40 + 128 + 1024);
static_assert(sizeof(DetachTarget) == 24);
static_assert(sizeof(Target) == 16 + 16 + 256);
static_assert(sizeof(TargetCounts) == 48);
static_assert(sizeof(Bare) == 16);
static_assert(sizeof(WatchName) == 272);
static_assert(sizeof(Hello) == 64);
static_assert(sizeof(RoleState) == 16 + 8 + 16 + 64);
static_assert(sizeof(HookRefused) == 224);
static_assert(sizeof(Hook) == 16 + 16 + 192 + 128 + 256 + 8 * 224);
static_assert(sizeof(Remark) == 272);
static_assert(sizeof(OpenFailed) == 64);
static_assert(sizeof(Notice) == 16 + 16 + 32 + 256);
static_assert(sizeof(FingerprintKey) == 32);
static_assert(sizeof(Examine) == 432);
static_assert(sizeof(Opened) == 64);
static_assert(sizeof(KeyFact) == 16 + 16 + 32 + 8 + 256 + 64 + 256 + 256 + 128 + 64 + 128);
static_assert(sizeof(ClaimFact) == 16 + 64 + 256);
static_assert(sizeof(EnvFact) == 16 + 16 + 8 + 72 + 264 + 56);
static_assert(sizeof(Done) == 112);
static_assert(sizeof(Hook) <= kMaxMessage && sizeof(Open) <= kMaxMessage && sizeof(KeyFact) <= kMaxMessage);

}  // namespace keytrail::role
