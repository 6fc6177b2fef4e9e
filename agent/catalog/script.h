// SPDX-License-Identifier: Apache-2.0
// The script behind an interpreter, by the words of its command line: what bpf/lib/script.h does at an exec, for
// programs that are older than the agent. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/catalog/catalog.h"

namespace keytrail::catalog {

/// The interpreter that an executable of this name is ("python3.11", "/usr/bin/python3"), or null.
[[nodiscard]] const Interpreter* interpreter_named(std::string_view program);

/// Is given the words behind the program's own name one by one, and none after it knows.
class ScriptFinder {
 public:
  explicit ScriptFinder(const Interpreter& interpreter) : is_(interpreter) {}

  enum class Next : std::uint8_t { kMore, kFound, kNone };
  Next word(std::string_view word);
  /// As Process::script, when it was found.
  [[nodiscard]] const std::string& script() const { return script_; }

 private:
  Next letters(std::string_view word);

  const Interpreter& is_;
  ScriptWord before_ = ScriptWord::kNone;  ///< what the word before says of the next one
  std::string option_, script_;
};

}  // namespace keytrail::catalog
