// SPDX-License-Identifier: Apache-2.0
// What a process calls, and how its name is known.
#pragma once

#include <cstdint>
#include <string>

#include "keytrail/words.h"

namespace keytrail {

/// Where the host name comes from, best first.
enum class NameSource : std::uint8_t {
  kRequest = 0,
  kSni = 1,
  kConnectProxy = 2,
  kEnvironment = 3,
  kDns = 4,
  kAddress = 5,
  kNone = 6,
};

struct Destination {
  std::string provider;  ///< "aws"; empty when the catalog does not know the host
  std::string service;   ///< "s3"
  std::string region;    ///< "eu-west-1", "global", or empty
  std::string host;      ///< lower case, no trailing dot; empty when only the address is known
  std::string address;   ///< numeric, as connected to
  std::uint16_t port = 0;
  std::string action;  ///< "GetObject"; empty when not visible
  NameSource name_source = NameSource::kNone;
  bool ambiguous = false;  ///< the address is shared, or two names contradict
  bool claimed = false;    ///< `host` is the caller's word only: nobody asked for it and got this address
};

template <>
inline constexpr auto kWords<NameSource> = words<NameSource>({
    {NameSource::kRequest, "request"},
    {NameSource::kSni, "sni"},
    {NameSource::kConnectProxy, "connect"},
    {NameSource::kEnvironment, "environment"},
    {NameSource::kDns, "dns"},
    {NameSource::kAddress, "address"},
    {NameSource::kNone, "none"},
});

}  // namespace keytrail
