// SPDX-License-Identifier: Apache-2.0
// A file whose bytes are the key, every one of them: LUKS and ZFS keyfiles, random or a passphrase. Nothing is looked
// for in it.
#include "agent/examine/formats.h"

namespace keytrail::examine::format {

role::Unread keyfile(std::string_view bytes, Work& work) {
  if (bytes.empty()) return role::Unread::kNone;
  const std::string_view kind = work.hints().key_kind.empty() ? std::string_view("disk.key") : work.hints().key_kind;
  work.add(work.fact(kind, KeyClass::kEncryptionKey, Lifetime::kLongLived), bytes);
  return role::Unread::kNone;
}

}  // namespace keytrail::examine::format
