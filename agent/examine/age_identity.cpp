// SPDX-License-Identifier: Apache-2.0
// age's identity files (age-keygen(1)): a line for each secret key, its recipient in a comment above it. That recipient
// is the public id. An encryption key: it opens files and no service takes it.
#include <algorithm>

#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

/// "# public key: age1…" → "age1…"
std::string_view recipient_of(std::string_view comment) {
  const std::size_t at = comment.find("age1");
  if (at == std::string_view::npos) return {};
  const std::string_view text = comment.substr(at, comment.find_first_of(" \t", at) - at);
  return text.size() >= 62 && text.size() <= 254 && is_name(text, 254) ? text : std::string_view();
}

bool is_identity(std::string_view line) {
  const bool starts = line.starts_with("AGE-SECRET-KEY-1") || line.starts_with("AGE-PLUGIN-");
  return starts && line.size() >= 32 &&
         std::ranges::all_of(line, [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace

role::Unread age_identity(std::string_view bytes, Work& work) {
  const std::string_view text = trimmed(bytes);
  if (text.empty()) return role::Unread::kNone;
  // Encrypted with a passphrase: the file itself is what can be known of it.
  if (text.starts_with("age-encryption.org/v1") || text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"))
    return keyfile(text, work);
  std::string_view recipient;
  for_each_line(text, [&](std::string_view line) {
    line = trimmed(line);
    if (line.starts_with('#')) {
      recipient = recipient_of(line);
      return;
    }
    if (is_identity(line)) {
      KeyFact fact = work.fact("age.key", KeyClass::kEncryptionKey, Lifetime::kLongLived);
      fact.key.id = std::string(recipient);
      work.add(std::move(fact), line);
    } else if (!line.empty()) {
      work.skip();
    }
    recipient = {};
  });
  return work.found().keys.empty() ? role::Unread::kUnknownFormat : role::Unread::kNone;
}

}  // namespace keytrail::examine::format
