// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/catalog/catalog.h"

namespace keytrail::catalog {

const ArgFormat* format_of_text(std::span<const ArgFormat> formats, std::string_view text) {
  const auto fits = [&](const ArgFormat& format) {
    return text.size() >= format.min_len && text.size() <= format.max_len && text.starts_with(format.prefix);
  };
  const auto found = std::ranges::find_if(formats, fits);
  return found == formats.end() ? nullptr : &*found;
}

bool is_shaped(std::span<const ArgFormat> formats, std::string_view kind) {
  return std::ranges::any_of(formats, [&](const ArgFormat& format) { return format.only && format.kind == kind; });
}

std::size_t shortest_of(std::span<const ArgFormat> formats, std::string_view kind) {
  if (is_shaped(formats, kind)) return kShortestOfShaped;
  const auto shows = [&](const ArgFormat& format) { return !format.is_public && !format.weak && format.kind == kind; };
  return std::ranges::any_of(formats, shows) ? kShortestOfKnown : 0;
}

}  // namespace keytrail::catalog
