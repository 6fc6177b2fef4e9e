// SPDX-License-Identifier: Apache-2.0
#include "agent/catalog/ranges.h"

#include <algorithm>
#include <array>

#include "agent/catalog/blocks.h"
#include "agent/catalog/tables.h"

namespace keytrail::catalog {
namespace {

using tables::Ranges;

/// Where no provider is: private networks, the carrier's, link-local, this machine.
constexpr std::array<std::string_view, 9> kPrivate = {"10.0.0.0/8",    "172.16.0.0/12", "192.168.0.0/16",
                                                      "100.64.0.0/10", "127.0.0.0/8",   "169.254.0.0/16",
                                                      "fc00::/7",      "fe80::/10",     "::1/128"};

bool holds(std::string_view block, const SocketAddress& address) {
  const auto parsed = parse_block(block);
  return parsed && contains(*parsed, address);
}

/// The block of these that the address is in, or "".
std::string_view block_of(const Ranges& ranges, const SocketAddress& address) {
  const auto found = std::ranges::find_if(ranges.blocks, [&](std::string_view one) { return holds(one, address); });
  return found == ranges.blocks.end() ? std::string_view() : *found;
}

std::string of_date(const Ranges& ranges) { return "(list of " + std::string(ranges.date) + ")"; }

}  // namespace

std::string range_hint(std::string_view provider, const SocketAddress& address) {
  const auto& all = tables::kTables.ranges;
  const auto own = std::ranges::find(all, provider, &Ranges::provider);
  if (own != all.end()) {
    if (const auto block = block_of(*own, address); !block.empty())
      return "in " + std::string(block) + ", a range that " + std::string(provider) + " publishes " + of_date(*own);
  }
  if (std::ranges::any_of(kPrivate, [&](std::string_view one) { return holds(one, address); })) {
    if (own == all.end()) return {};
    return "a private address: a private endpoint of " + std::string(provider) + ", a proxy, or somebody else";
  }
  for (const Ranges& other : all) {
    const std::string_view block = block_of(other, address);
    if (block.empty()) continue;
    std::string out =
        "in " + std::string(block) + ", a range that " + std::string(other.provider) + " publishes " + of_date(other);
    return own == all.end() ? out : out + ", in none of " + std::string(provider) + "'s";
  }
  const bool lists_such = own != all.end() && std::ranges::any_of(own->blocks, [&](std::string_view one) {
                            return one.contains(':') == address.v6;
                          });
  if (!lists_such) return {};
  return "in none of the ranges that " + std::string(provider) + " publishes " + of_date(*own) +
         (own->whole ? "" : ", of which only the large ones are known here");
}

}  // namespace keytrail::catalog
