// SPDX-License-Identifier: Apache-2.0
// `keytrail`: the command line, and with `agent` the worker (started by the warden) or the whole agent by hand.
#include <CLI/CLI.hpp>
#include <string>

#include "agent/cli/cli.h"
#include "agent/examine/inherited.h"
#include "agent/worker.h"

int main(int argc, char** argv) {
  // Before any thread, and before anything may fail: closes this process to others where it holds the warden's descriptors.
  auto fds = keytrail::examine::take_inherited_fds();
  std::string config;
  keytrail::cli::ExtraCommand agent{
      .name = "agent",
      .description = "Run the agent in the foreground (needs root; systemd runs keytrail-warden instead)",
      .options = [&config](CLI::App& command) { command.add_option("--config", config, "configuration (/etc/keytrail/keytrail.yaml)"); },
      .run = [&] { return fds.empty() ? keytrail::become_warden(config) : keytrail::run_worker(std::move(fds), config); }};
  return keytrail::cli::run_cli(argc, argv, {std::move(agent)});
}
