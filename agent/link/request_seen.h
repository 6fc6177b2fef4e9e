// SPDX-License-Identifier: Apache-2.0
// What was seen in a request: facts, never a secret. It is what the process wrote, not a checked signature.
#pragma once

#include <cstdint>
#include <string>

namespace keytrail::link {

struct RequestSeen {
  enum class KeySent : std::uint8_t {
    kUnknown,  ///< not readable, or not looked for
    kNone,     ///< read, and it carries no key
    kSeen,     ///< `key_id` is the key that it carries
  };
  std::string method;
  std::string host;
  std::string path;  ///< without its query
  KeySent key_sent = KeySent::kUnknown;
  std::string key_id;  ///< as rows name keys: the provider's public id, else a fingerprint's text
};

}  // namespace keytrail::link
