// SPDX-License-Identifier: Apache-2.0
// One call of the parsers, as the examiner makes it.
#pragma once

#include <string>
#include <string_view>

#include "agent/examine/formats.h"

namespace keytrail::examine {

struct Bench {
  Session session{.key = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
  Arena scratch{4U << 20U};

  Found parse(std::string_view format, std::string_view bytes, std::string_view kind = {}, bool guessable = false,
              KeyClass key_class = KeyClass::kAccessKey) {
    const Hints hints{.format = format, .key_kind = kind, .key_class = key_class, .guessable = guessable};
    Found found;
    examine::parse(hints, bytes, session, scratch, found);
    scratch.wipe();
    return found;
  }
  Fingerprint print(std::string_view value) const { return base::fingerprint_of(session.key, value); }
};

}  // namespace keytrail::examine
