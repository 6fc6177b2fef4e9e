// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets share. A target is LLVMFuzzerTestOneInput: it hands the bytes to a parser and checks what must
// hold of any answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keytrail::fuzz {

/// Ends the run as a finding when `holds` is false; `what` must hold of every answer.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Takes the text up to `separator` off the front; all of it when there is none.
inline std::string_view take_until(std::string_view& text, std::string_view separator) {
  const std::size_t end = text.find(separator);
  const std::string_view out = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + separator.size());
  return out;
}

/// True when a run of `length` bytes of `input` stands in `said`.
inline bool repeats(std::string_view said, std::string_view input, std::size_t length) {
  for (std::size_t at = 0; at + length <= said.size(); ++at) {
    if (input.contains(said.substr(at, length))) return true;
  }
  return false;
}

/// True for text that a terminal shows as it stands: no control characters but line ends and tabs.
inline bool is_shown_safely(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F) return false;
  }
  return true;
}

}  // namespace keytrail::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
