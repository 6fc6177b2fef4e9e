// SPDX-License-Identifier: Apache-2.0
// The messages to and from the examiner: a descriptor goes in, facts come out, never a secret. With the opener's
// answer, which brings the descriptor. Beside them stand the checks of their lengths and their sizes. Included by
// role_abi.h.
#pragma once

#include <array>
#include <cstdint>

#include "keytrail/role_abi_parts.h"

namespace keytrail::role {

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

struct Done {
  Head head;
  Identity file;
  std::uint16_t unread = 0;   ///< enum Unread
  std::uint16_t keys = 0;     ///< kKeyFact messages sent for this request
  std::uint16_t env = 0;      ///< kEnvFact messages
  std::uint16_t skipped = 0;  ///< malformed entries left out
  Text<46> format;            ///< see FileAnswer::format
};

namespace detail {
inline bool lengths_ok(const FingerprintKey&) { return true; }
inline bool lengths_ok(const Examine& m) { return lengths_ok(m.hints); }
inline bool lengths_ok(const Opened& m) { return unread_ok(m.unread); }
inline bool lengths_ok(const KeyFact& m) {
  return m.id.valid() && m.kind.valid() && m.principal.valid() && m.parent.valid() && m.selector.valid() &&
         m.variable.valid() && m.host.valid() && m.path.valid() && known<KeyClass>(m.key_class) &&
         known<Lifetime>(m.lifetime);
}
inline bool lengths_ok(const ClaimFact& m) { return m.name.valid() && m.value.valid(); }
inline bool lengths_ok(const EnvFact& m) { return m.name.valid() && m.value.valid() && m.format.valid(); }
inline bool lengths_ok(const Done& m) { return unread_ok(m.unread) && m.format.valid(); }
}  // namespace detail

static_assert(sizeof(FingerprintKey) == 32);
static_assert(sizeof(Examine) == 432);
static_assert(sizeof(Opened) == 64);
static_assert(sizeof(KeyFact) == 16 + 16 + 32 + 8 + 256 + 64 + 256 + 256 + 128 + 64 + 128 + 512);
static_assert(sizeof(ClaimFact) == 16 + 64 + 256);
static_assert(sizeof(EnvFact) == 16 + 16 + 8 + 72 + 264 + 56);
static_assert(sizeof(Done) == 112);

}  // namespace keytrail::role
