// SPDX-License-Identifier: Apache-2.0
// git-credential-store's file: one URL a line, login and password percent-encoded (git-credential-store(1)).
#include "agent/examine/credential.h"
#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {

role::Unread git_credentials(std::string_view bytes, Work& work) {
  if (trimmed(bytes).empty()) return role::Unread::kNone;
  if (bytes.find('\0') != std::string_view::npos) return role::Unread::kUnknownFormat;
  bool any_url = false;
  for_each_line(bytes, [&](std::string_view line) {
    line = trimmed(line);
    if (line.empty() || line.front() == '#') return;
    const std::optional<Url> url = split_url(line);
    any_url = any_url || url;
    if (!url) return work.skip();
    work.at({.selector = url->host, .host = url->host});
    if (!add_url(line, work)) work.skip();
  });
  return any_url ? role::Unread::kNone : role::Unread::kUnknownFormat;
}

}  // namespace keytrail::examine::format
