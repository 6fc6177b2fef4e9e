// SPDX-License-Identifier: Apache-2.0
// What the parts of the emitter share. Internal to this folder.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace keytrail::catalog::source {

/// A C++ literal; everything but plain ASCII is written as octal, which has a fixed length.
inline std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte > 0x7e || c == '?') {
      out += fmt::format("\\{:03o}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

inline const char* truth(bool value) { return value ? "true" : "false"; }

}  // namespace keytrail::catalog::source
