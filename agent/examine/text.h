// SPDX-License-Identifier: Apache-2.0
// What text formats have in common: lines, quotes, percent signs, URLs. Views into the file or into the scratch memory,
// nothing else.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "agent/examine/arena.h"

namespace keytrail::examine {

/// Calls `each(line)` for every line, without its end; a byte-order mark is dropped.
template <typename Each>
void for_each_line(std::string_view bytes, Each&& each) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    std::string_view line = bytes.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    each(line);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
}

/// The same but for the case of ASCII letters.
[[nodiscard]] bool same_word(std::string_view a, std::string_view b);
/// Without one pair of equal quotes around it.
[[nodiscard]] std::string_view unquoted(std::string_view text);
/// %41 → A. A view of `text` where there is nothing to decode; empty when the scratch memory is used up.
[[nodiscard]] std::string_view percent_decoded(std::string_view text, Arena& scratch);
/// Cuts `text` at the first `separator`: the part before it; `text` keeps what follows it, or nothing.
std::string_view cut(std::string_view& text, char separator);

/// "scheme://login:secret@host:port/…". Login and secret are still percent-encoded.
struct Url {
  std::string_view scheme, login, secret, host;  ///< host: with its port
  std::string_view rest;                         ///< path and query, with the leading '/' or '?'
};
/// Nothing when `text` has no scheme or no host. A scheme may have several words ("jdbc:mysql").
[[nodiscard]] std::optional<Url> split_url(std::string_view text);
/// The host (with its port) that a name is, "registry.example:5000/team" or "https://index.example/"; empty when it is
/// none.
[[nodiscard]] std::string_view host_of_name(std::string_view name);
/// "http://user:password@host/" → "http://host/"; "user:password@host" stays, being no URL.
[[nodiscard]] std::string without_user_info(std::string_view value);

}  // namespace keytrail::examine
