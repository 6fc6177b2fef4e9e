// SPDX-License-Identifier: Apache-2.0
// `keytrail config`: needs no agent.
#include "agent/base/config.h"
#include "agent/base/log.h"
#include "agent/cli/commands.h"
#include "agent/judge/rule.h"

namespace keytrail::cli {

using base::printable;

namespace {

/// The agent has its service's environment, not that of the shell in which this is asked.
std::string from_environment(const base::Config& config, const std::string& mark) {
  std::string out;
  for (const base::OtlpConfig& otlp : config.otlp) {
    if (otlp.source.empty()) continue;
    out += mark + "the exporter " + printable(otlp.name) + " comes from " + printable(otlp.source) +
           " of this shell; the agent's own environment may differ\n";
  }
  return out;
}

}  // namespace

int run_config_check(const Options& options, World& world) {
  const std::string path = !options.words.empty()   ? options.words[0]
                           : options.config.empty() ? base::kDefaultConfigPath
                                                    : options.config;
  base::ConfigOptions how;
  how.required = true;
  how.resolve = false;
  how.findings = judge::finding_types();
  const Result<base::Config> config = base::load_config(path, how);
  if (!config) {
    world.err << "keytrail: " << config.error().message << "\n";
    return config.error().code == Error::Code::kNotFound ? kUsage : kNo;
  }
  for (const std::string& remark : config->remarks)
    world.out << "! " << printable(remark) << "\n";
  world.out << from_environment(*config, "! ");
  world.out << printable(path) << ": correct\n";
  return kOk;
}

int run_config_show(const Options& options, World& world) {
  base::ConfigOptions how;
  how.required = !options.config.empty();
  how.resolve = false;
  how.findings = judge::finding_types();
  const std::string path = options.config.empty() ? base::kDefaultConfigPath : options.config;
  const Result<base::Config> config = base::load_config(path, how);
  if (!config) {
    world.err << "keytrail: " << config.error().message << "\n";
    return kNo;
  }
  world.out << "# "
            << (config->file.empty() ? "defaults: there is no " + printable(path) : "from " + printable(config->file))
            << "\n";
  world.out << from_environment(*config, "# ");
  world.out << base::render_config(*config);
  return kOk;
}

}  // namespace keytrail::cli
