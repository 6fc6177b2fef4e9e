// SPDX-License-Identifier: Apache-2.0
// A key file of no known format: its fingerprint is all that can be said, unless its text shows a key by its shape.
#include "agent/examine/credential.h"
#include "agent/examine/formats.h"

namespace keytrail::examine::format {

role::Unread opaque(std::string_view bytes, Work& work) {
  // A database is no secret: its bytes change with every write, and what it holds would need a reader of its own.
  if (bytes.starts_with("SQLite format 3")) return role::Unread::kUnknownFormat;
  const std::string_view content = trimmed(bytes);
  if (content.empty()) return role::Unread::kNone;
  if (content.find("-----BEGIN ") != std::string_view::npos) {  // "Bag Attributes" may come first
    (void)pem(content, work);
    if (!work.found().keys.empty()) return role::Unread::kNone;
  }
  if (add_by_shape(content, work)) return role::Unread::kNone;
  if (content.find('\n') == std::string_view::npos) {  // one word may tell what it is, whatever its file is called
    if (work.is_no_key(content, work.hints().key_kind) || add_token_by_shape(content, work)) return role::Unread::kNone;
  }
  work.add(work.usual_fact(work.hints().key_class == KeyClass::kPassword), content);
  return role::Unread::kNone;
}

}  // namespace keytrail::examine::format
