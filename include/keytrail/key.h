// SPDX-License-Identifier: Apache-2.0
// A key, the slot it was found in, and the way it came. No type here can hold a secret.
#pragma once

#include <cstdint>
#include <string>

#include "keytrail/fingerprint.h"
#include "keytrail/words.h"

namespace keytrail {

enum class KeyClass : std::uint8_t {
  kAccessKey = 0,
  kIdentityToken = 1,
  kSessionToken = 2,
  kPassword = 3,
  kCertificate = 4,
  kEncryptionKey = 5,
};
enum class Lifetime : std::uint8_t { kUnknown = 0, kLongLived = 1, kShortLived = 2 };

/// Where a process got a key.
enum class From : std::uint8_t {
  kFile = 0,
  kEnvironment = 1,
  kArgument = 2,
  kMetadata = 3,
  kBroker = 4,
  kIssued = 5,
  kKeyring = 6,
  kMemory = 7,
  kUnknown = 8,
};

/// How a process came to hold a key, weakest last. `kTold`: a file that it read names the place of the key; that it
/// read that place, too, was not seen.
enum class How : std::uint8_t {
  kDirect = 0,
  kFork = 1,
  kExec = 2,
  kBaseline = 3,
  kHelper = 4,
  kLostAtExec = 5,
  kTold = 6
};

struct Key {
  std::string id;    ///< the one key id: "AKIA…", "fp:…", "login@host #5a0c…", "aws.session@role/NAME"
  std::string kind;  ///< catalog kind: "aws.access_key"
  KeyClass key_class = KeyClass::kAccessKey;
  Lifetime lifetime = Lifetime::kUnknown;
  Fingerprint fingerprint;     ///< of the inner secret, where one is allowed; joins places that show no id
  std::string principal;       ///< public: role ARN, JWT sub, login, e-mail; else empty
  std::string parent;          ///< key id (or role) it was issued from; empty for a root of its chain
  std::int64_t issued_s = 0;   ///< Unix seconds; 0 when unknown
  std::int64_t expires_s = 0;  ///< Unix seconds; 0 when unknown
};

/// What a token says in clear of whom it is for: public, never a part of the signature.
struct Claim {
  std::string name;   ///< of the fact it may become: "k8s.pod.name"
  std::string value;  ///< at most 254 bytes

  bool operator==(const Claim&) const = default;
};

/// A place that holds a key.
struct Slot {
  From from = From::kUnknown;
  std::string place;     ///< absolute path in the process's root; variable name; metadata "host path"; issuer host
  std::string selector;  ///< profile, context, host: the entry of a place that holds many keys; else empty
  auto operator<=>(const Slot&) const = default;
};

template <>
inline constexpr auto kWords<KeyClass> = words<KeyClass>({
    {KeyClass::kAccessKey, "access_key"},
    {KeyClass::kIdentityToken, "identity_token"},
    {KeyClass::kSessionToken, "session_token"},
    {KeyClass::kPassword, "password"},
    {KeyClass::kCertificate, "certificate"},
    {KeyClass::kEncryptionKey, "encryption_key"},
});

template <>
inline constexpr auto kWords<Lifetime> = words<Lifetime>({
    {Lifetime::kUnknown, "unknown", "unknown"},
    {Lifetime::kLongLived, "long_lived", "long-lived"},
    {Lifetime::kShortLived, "short_lived", "short-lived"},
});

template <>
inline constexpr auto kWords<From> = words<From>({
    {From::kFile, "file"},
    {From::kEnvironment, "environment"},
    {From::kArgument, "argument"},
    {From::kMetadata, "metadata"},
    {From::kBroker, "broker"},
    {From::kIssued, "issued"},
    {From::kKeyring, "keyring"},
    {From::kMemory, "memory"},
    {From::kUnknown, "unknown"},
});

template <>
inline constexpr auto kWords<How> = words<How>({
    {How::kDirect, "direct"},
    {How::kFork, "fork"},
    {How::kExec, "exec"},
    {How::kBaseline, "baseline"},
    {How::kHelper, "helper"},
    {How::kLostAtExec, "lost_at_exec"},
    {How::kTold, "told"},
});

}  // namespace keytrail
