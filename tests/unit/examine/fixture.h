// SPDX-License-Identifier: Apache-2.0
// One call of the parsers, as the examiner makes it.
#pragma once

#include <openssl/evp.h>

#include <string>
#include <string_view>

#include "agent/examine/formats.h"

namespace keytrail::examine {

inline std::string base64(std::string_view text) {
  std::string out(text.size() * 2 + 8, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

/// What stands before the tag of a key that could be guessed; empty when the id has none.
inline std::string label_of(std::string_view id) {
  const std::size_t mark = id.rfind(" #");
  const bool tag = mark != std::string_view::npos && id.size() == mark + 18 &&
                   id.find_first_not_of("0123456789abcdef", mark + 2) == std::string_view::npos;
  return std::string(id.substr(0, tag ? mark : 0));
}

struct Bench {
  ExaminerState state{.key = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                      .env = catalog::kernel_tables().env,
                      .formats = catalog::kernel_tables().formats,
                      .programs = catalog::kernel_tables().programs,
                      .carried = catalog::kernel_tables().carried};
  Arena scratch{4U << 20U};
  std::string_view other_kind;  ///< what the place may hold besides
  std::string_view kinds;       ///< every kind that it may hold

  Found parse(std::string_view format, std::string_view bytes, std::string_view kind = {}, bool guessable = false,
              KeyClass key_class = KeyClass::kAccessKey) {
    const Hints hints{.format = format,
                      .key_kind = kind,
                      .key_class = key_class,
                      .guessable = guessable,
                      .kinds = kinds,
                      .other_kind = other_kind,
                      .other_class = key_class == KeyClass::kPassword ? KeyClass::kAccessKey : KeyClass::kPassword};
    Found found;
    examine::parse(hints, bytes, state, scratch, found);
    scratch.wipe();
    return found;
  }
  Fingerprint print(std::string_view value) const { return base::fingerprint_of(state.key, value); }
};

}  // namespace keytrail::examine
