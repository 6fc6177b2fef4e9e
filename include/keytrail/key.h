// SPDX-License-Identifier: Apache-2.0
// A key, the slot it was found in, and the way it came. No type here can hold a secret.
#pragma once

#include <cstdint>
#include <string>

#include "keytrail/fingerprint.h"

namespace keytrail {

enum class KeyClass : std::uint8_t { kAccessKey, kIdentityToken, kSessionToken, kPassword, kCertificate, kEncryptionKey };
enum class Lifetime : std::uint8_t { kUnknown, kLongLived, kShortLived };

/// Where a process got a key.
enum class From : std::uint8_t { kFile, kEnvironment, kArgument, kMetadata, kBroker, kIssued, kKeyring, kMemory, kUnknown };

struct Key {
  std::string id;    ///< the one key id: "AKIA…", "fp:…", "login@host #1", "aws.session@role/NAME"
  std::string kind;  ///< catalog kind: "aws.access_key"
  KeyClass key_class = KeyClass::kAccessKey;
  Lifetime lifetime = Lifetime::kUnknown;
  Fingerprint fingerprint;     ///< of the inner secret, where one is allowed; joins places that show no id
  std::string principal;       ///< public: role ARN, JWT sub, login, e-mail; else empty
  std::string parent;          ///< key id (or role) it was issued from; empty for a root of its chain
  std::int64_t issued_s = 0;   ///< Unix seconds; 0 when unknown
  std::int64_t expires_s = 0;  ///< Unix seconds; 0 when unknown
};

/// A place that holds a key.
struct Slot {
  From from = From::kUnknown;
  std::string place;     ///< absolute path in the process's root; variable name; metadata "host path"; issuer host
  std::string selector;  ///< profile, context, host: the entry of a place that holds many keys; else empty
  auto operator<=>(const Slot&) const = default;
};

[[nodiscard]] constexpr const char* to_string(KeyClass value) {
  switch (value) {
    case KeyClass::kAccessKey:
      return "access_key";
    case KeyClass::kIdentityToken:
      return "identity_token";
    case KeyClass::kSessionToken:
      return "session_token";
    case KeyClass::kPassword:
      return "password";
    case KeyClass::kCertificate:
      return "certificate";
    case KeyClass::kEncryptionKey:
      return "encryption_key";
  }
  return "access_key";
}

[[nodiscard]] constexpr const char* to_string(Lifetime value) {
  switch (value) {
    case Lifetime::kUnknown:
      return "unknown";
    case Lifetime::kLongLived:
      return "long_lived";
    case Lifetime::kShortLived:
      return "short_lived";
  }
  return "unknown";
}

[[nodiscard]] constexpr const char* to_string(From value) {
  switch (value) {
    case From::kFile:
      return "file";
    case From::kEnvironment:
      return "environment";
    case From::kArgument:
      return "argument";
    case From::kMetadata:
      return "metadata";
    case From::kBroker:
      return "broker";
    case From::kIssued:
      return "issued";
    case From::kKeyring:
      return "keyring";
    case From::kMemory:
      return "memory";
    case From::kUnknown:
      return "unknown";
  }
  return "unknown";
}

}  // namespace keytrail
