// SPDX-License-Identifier: Apache-2.0
// A command line cut into words by the catalog's rules of its program: which word is a header, a login, an address.
// Words are views; nothing is copied. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "agent/catalog/catalog.h"

namespace keytrail::examine {

/// A word of which a rule says something.
struct ArgWord {
  catalog::ArgUse use = catalog::ArgUse::kOther;
  std::string_view flag;  ///< "" where it belongs to none
  std::string_view value;
  std::size_t position = 0;                    ///< among the arguments, the program's name being 0
  const catalog::ArgProgram* rules = nullptr;  ///< whose kinds hold
};

struct ArgLine {
  std::vector<ArgWord> words;
  bool cut = false;  ///< the last word has no end: it is left out
};

/// Reads the arguments of `program` (the first 15 characters of its name), each followed by a NUL.
[[nodiscard]] ArgLine read_command_line(std::string_view program, std::string_view bytes,
                                        std::span<const catalog::ArgProgram> programs);

}  // namespace keytrail::examine
