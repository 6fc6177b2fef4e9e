// SPDX-License-Identifier: Apache-2.0
// The messages to and from the examiner: a descriptor goes in, facts come out, never a secret. With the opener's
// answer, which brings the descriptor. Beside them stand the checks of their lengths and their sizes. Included by
// role_abi.h.
#pragma once

#include <array>
#include <cstdint>

#include "keytrail/examiner.h"
#include "keytrail/role_abi_parts.h"

namespace keytrail::role {

// ---- warden → examiner ----

struct FingerprintKey {
  Head head;
  std::array<std::uint8_t, 16> key{};
};

/// One descriptor comes with it (SCM_RIGHTS): a sealed copy of the file in memory, never the file itself.
struct Examine {
  Head head;
  Identity file;
  Hints hints;
  /// 1: the process for which it was opened can read it, and a word of its arguments or initial environment leads to
  /// it; never of the agent's own.
  std::uint32_t named = 0;
  std::uint32_t pad = 0;
  Text<kMaxPlace> place;  ///< where the opener found the file, below its process's root; empty where no path leads
};

inline constexpr std::uint32_t kNobody = ~std::uint32_t{0};

/// The opener child's answer; a descriptor comes with it when `unread` is 0 and `unchanged` is 0.
struct Opened {
  Head head;
  std::uint16_t unread = 0;
  std::uint16_t unchanged = 0;
  std::uint32_t named = 0;  ///< as in Examine
  Identity file;
  std::uint32_t mnt_ns = 0;       ///< in which `Open::path` led to it from the root; 0: of another root, or held
  std::uint32_t owner = kNobody;  ///< of what was found
  Text<kMaxPlace> place;          ///< as in Examine
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
  Text<510> path;
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

/// What a container's state says: keytrail::BundleFact.
struct BundleFact {
  Head head;
  std::uint8_t what = 0;
  std::uint8_t more = 1;
  std::uint8_t pad[4]{};
  Text<510> value;
};

struct Done {
  Head head;
  Identity file;
  std::uint16_t unread = 0;   ///< enum Unread
  std::uint16_t keys = 0;     ///< kKeyFact messages sent for this request
  std::uint16_t env = 0;      ///< kEnvFact messages
  std::uint16_t skipped = 0;  ///< malformed entries left out
  Text<46> format;            ///< see FileAnswer::format
  std::uint16_t facts = 0;    ///< kBundleFact messages
  std::uint16_t pad[3]{};
};

namespace detail {
inline bool lengths_ok(const FingerprintKey&) { return true; }
inline bool lengths_ok(const Examine& m) { return lengths_ok(m.hints) && m.named <= 1 && m.place.valid(); }
inline bool lengths_ok(const Opened& m) {
  return unread_ok(m.unread) && m.unchanged <= 1 && m.named <= 1 && m.place.valid();
}
inline bool lengths_ok(const KeyFact& m) {
  return m.id.plain() && m.kind.plain() && m.principal.plain() && m.parent.plain() && m.selector.plain() &&
         m.variable.plain() && m.host.plain() && m.path.plain() && known<KeyClass>(m.key_class) &&
         known<Lifetime>(m.lifetime) && m.current <= 1 && m.untold <= 1;
}
inline bool lengths_ok(const ClaimFact& m) { return m.name.plain() && m.value.plain(); }
/// The value is another process's text, whatever it is.
inline bool lengths_ok(const EnvFact& m) {
  return m.name.plain() && m.value.valid() && m.format.plain() && m.truncated <= 1;
}
inline bool lengths_ok(const BundleFact& m) { return m.what < kBundleFacts.size() && m.value.plain(); }
inline bool lengths_ok(const Done& m) { return unread_ok(m.unread) && m.format.plain(); }
}  // namespace detail

static_assert(sizeof(FingerprintKey) == 32);
static_assert(sizeof(Examine) == 432 + 8 + 1024);
static_assert(sizeof(Opened) == 72 + 1024);
static_assert(sizeof(KeyFact) == 16 + 16 + 32 + 8 + 256 + 64 + 256 + 256 + 128 + 64 + 128 + 512);
static_assert(sizeof(ClaimFact) == 16 + 64 + 256);
static_assert(sizeof(EnvFact) == 16 + 16 + 8 + 72 + 264 + 56);
static_assert(sizeof(BundleFact) == 16 + 6 + 512 + 2);
static_assert(sizeof(Done) == 120);

}  // namespace keytrail::role
