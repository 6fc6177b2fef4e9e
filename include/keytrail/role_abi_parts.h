// SPDX-License-Identifier: Apache-2.0
// What the messages between the roles are made of: their types, head, texts, and the parts that several of them have.
// In and out: plain structs without padding, unused bytes zero. Thread: any.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "keytrail/event.h"
#include "keytrail/key.h"

namespace keytrail::role {

inline constexpr std::uint16_t kVersion = 10;
inline constexpr std::size_t kMaxAlternatives = 8;
inline constexpr std::size_t kMaxRefused = 8;
inline constexpr std::size_t kMaxTargetOffsets = 16;
inline constexpr std::size_t kMaxKeysPerFile = 256;
inline constexpr std::size_t kMaxFileBytes = 1U << 20U;
inline constexpr std::size_t kMaxPlace = 1022;

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
  kKeepMounts,
  kWatchFound,
  kHere,    ///< to kAreYouThere; of the examiner too
  kStored,  ///< Head::request: of the last kNotice up to which all are in the history
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
  kAreYouThere,  ///< every 2 s; to the examiner too
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
  kBundleFact,
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
  /// The same, and without control characters: what a person will see.
  [[nodiscard]] bool plain() const {
    if (!valid()) return false;
    for (std::size_t i = 0; i < size; ++i) {
      const auto byte = static_cast<unsigned char>(bytes[i]);
      const bool c1 = byte == 0xC2 && i + 1 < size && static_cast<unsigned char>(bytes[i + 1]) < 0xA0;
      if (byte < 0x20 || byte == 0x7F || c1) return false;
    }
    return true;
  }
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
enum class Asks : std::uint8_t { kFile, kEnvironment, kArguments, kBundle };
inline constexpr std::size_t kAsks = 4;

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
  kExaminerRestarted,
  kLeased  ///< somebody has a write lease on it: opening it would break that
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
    case Unread::kLeased:
      return "leased";
  }
  return "refused";
}

/// What the worker says that the examiner should look for. None of it is believed where the place is in the catalog,
/// and elsewhere no text of the file leaves for it (see Examine::named). The warden passes it on as it is.
struct Hints {
  /// The parser's name; of arguments: the program's; of an environment: the variable's; of a bundle: BundleQuestion's.
  Text<46> format;
  Text<62> key_kind;    ///< catalog kind to give when the format does not tell
  Text<62> other_kind;  ///< the same for passwords where key_kind is none, for others where it is one
  Text<190> kinds;      ///< every kind that the place may hold, separated by blanks; of a bundle: the container's id
  std::uint8_t key_class = 0;    ///< of key_kind, as enum KeyClass
  std::uint8_t lifetime = 0;     ///< of key_kind, as enum Lifetime
  std::uint8_t guessable = 0;    ///< 1: fingerprints of this kind stay in the examiner
  std::uint8_t asks = 0;         ///< enum Asks
  std::uint8_t other_class = 0;  ///< of other_kind, as enum KeyClass
  std::uint8_t other_lifetime = 0;
  std::uint16_t pad = 0;
};

/// kSampleSockets, kSweep, kReady, kReportTargets, kHere, kStored, kHelloEnd, kSandboxReady: a head alone.
struct Bare {
  Head head;
};

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
inline bool lengths_ok(const Bare&) { return true; }
inline bool unread_ok(std::uint16_t value) { return value <= static_cast<std::uint16_t>(Unread::kLeased); }
}  // namespace detail

static_assert(sizeof(Head) == 16);
static_assert(sizeof(Identity) == 40);
static_assert(sizeof(Hints) == 376);
static_assert(sizeof(Bare) == 16);

}  // namespace keytrail::role
