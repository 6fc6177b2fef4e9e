// SPDX-License-Identifier: Apache-2.0
// What the published address ranges say of an address (data/ranges.yaml): a sentence for people, and nothing that any
// evidence rests on. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "keytrail/event.h"

namespace keytrail::catalog {

/// Of an address that was called under a name of `provider` (an endpoint's; "" when nobody knows whose), for `explain`;
/// "" when the ranges say nothing.
[[nodiscard]] std::string range_hint(std::string_view provider, const SocketAddress& address);

}  // namespace keytrail::catalog
