// SPDX-License-Identifier: Apache-2.0
// `keytrail`: the command line, and with `agent` the worker (started by the warden) or the whole agent by hand.
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "agent/cli/cli.h"
#include "agent/examine/inherited.h"
#include "agent/worker.h"
#include "keytrail/hooks.h"

int main(int argc, char** argv) {
  // Before any thread, and before anything may fail: closes this process to others where it holds the warden's
  // descriptors.
  auto fds = keytrail::examine::take_inherited_fds();
  std::string config;
  std::vector<std::string> without;
  bool list_disabled = false;
  keytrail::cli::ExtraCommand agent{
      .name = "agent",
      .description = "Run the agent in the foreground (needs root; systemd runs keytrail-warden instead)",
      .options =
          [&](CLI::App& command) {
            command.add_option("--config", config, "configuration (/etc/keytrail/keytrail.yaml)");
            command.add_option(
                "--no-feature", without,
                fmt::format("do without a kernel feature, to try the next alternative: {}; may be repeated",
                            fmt::join(keytrail::kHookFeatures, ", ")));
            command.add_flag("--list-disabled-hooks", list_disabled)->group("");  // for the warden: no part of the help
          },
      .run =
          [&] {
            if (list_disabled) return keytrail::list_disabled_hooks(config);
            return fds.empty() ? keytrail::become_warden(config, without)
                               : keytrail::run_worker(std::move(fds), config);
          }};
  return keytrail::cli::run_cli(argc, argv, {std::move(agent)});
}
