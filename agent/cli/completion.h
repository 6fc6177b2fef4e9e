// SPDX-License-Identifier: Apache-2.0
// Shell completions, made from the list of commands and options itself. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace keytrail::cli {

struct CommandWords {
  std::string name, description;
  std::vector<std::string> words;                          ///< options and subcommands
  bool takes_key = false;                                  ///< a key ID may stand there
  std::map<std::string, std::vector<std::string>> values;  ///< of an option ("--kind"): what may stand after it
};

/// `shell`: bash, zsh or fish; "" for another one.
[[nodiscard]] std::string completion_script(const std::string& shell, const std::vector<CommandWords>& commands);

}  // namespace keytrail::cli
