// SPDX-License-Identifier: Apache-2.0
// Blocks of addresses ("52.92.0.0/16", "2606:4700::/32"). Pure functions; any thread.
#pragma once

#include <optional>
#include <string_view>

#include "keytrail/event.h"

namespace keytrail::catalog {

struct Block {
  SocketAddress first;  ///< port 0
  unsigned bits = 0;    ///< of its prefix
};

/// nullopt when it is no block: no address, no length, one that is too long, or an address that is not the first.
[[nodiscard]] std::optional<Block> parse_block(std::string_view text);
[[nodiscard]] bool contains(const Block& block, const SocketAddress& address);

}  // namespace keytrail::catalog
