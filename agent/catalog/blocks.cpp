// SPDX-License-Identifier: Apache-2.0
#include "agent/catalog/blocks.h"

#include <charconv>
#include <cstddef>
#include <cstdint>

#include "agent/base/host.h"

namespace keytrail::catalog {
namespace {

constexpr unsigned kByte = 8;

/// The bits of its n-th byte that belong to a prefix of this length.
std::uint8_t mask(unsigned bits, std::size_t n) {
  const auto before = static_cast<unsigned>(n) * kByte;
  const unsigned here = bits <= before ? 0 : (bits - before >= kByte ? kByte : bits - before);
  return static_cast<std::uint8_t>(0xff00U >> here);
}

}  // namespace

std::optional<Block> parse_block(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto first = base::parse_address(text.substr(0, slash));
  const std::string_view length = text.substr(slash + 1);
  Block out;
  const auto [end, code] = std::from_chars(length.data(), length.data() + length.size(), out.bits);
  if (!first || code != std::errc{} || end != length.data() + length.size()) return std::nullopt;
  out.first = *first;
  const std::size_t bytes = first->v6 ? 16 : 4;
  if (out.bits > bytes * kByte) return std::nullopt;
  for (std::size_t n = 0; n < bytes; ++n) {
    if ((first->address.at(n) & static_cast<std::uint8_t>(~mask(out.bits, n))) != 0) return std::nullopt;
  }
  return out;
}

bool contains(const Block& block, const SocketAddress& address) {
  if (block.first.v6 != address.v6) return false;
  for (std::size_t n = 0; n < (address.v6 ? 16U : 4U); ++n) {
    if ((address.address.at(n) & mask(block.bits, n)) != block.first.address.at(n)) return false;
  }
  return true;
}

}  // namespace keytrail::catalog
