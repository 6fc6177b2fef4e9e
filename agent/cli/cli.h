// SPDX-License-Identifier: Apache-2.0
// The command line: everything but `keytrail agent`, which the main registers beside it.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace keytrail::cli {

/// A command that lives elsewhere ("agent"): shown in --help and in the completions like the rest.
struct ExtraCommand {
  std::string name, description;
  std::function<void(CLI::App& command)> options;  ///< adds its options; include <CLI/CLI.hpp> where it is written
  std::function<int()> run;                        ///< after parsing; its result is the exit code
};

/// Exit codes: 0 answered or clear, 1 a check says no, 2 usage, 3 cannot tell, 4 no agent, 5 refused. Never throws.
int run_cli(int argc, char** argv, std::vector<ExtraCommand> extra = {});

}  // namespace keytrail::cli
