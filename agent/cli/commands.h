// SPDX-License-Identifier: Apache-2.0
// The commands behind the command line, without its parser: options in, text out, exit code back.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "agent/cli/client.h"

namespace keytrail::cli {

enum ExitCode : int { kOk = 0, kNo = 1, kUsage = 2, kCannotTell = 3, kNoAgent = 4, kRefused = 5, kTimeOver = 6 };

struct Options {
  std::string socket;  ///< empty: from the configuration file, else the default
  std::string config;  ///< --config FILE
  std::string output = "table";
  std::string color = "auto";
  std::string since, until;
  bool local = false, strict = false;
  std::uint64_t limit = 10'000;
  std::string key;  ///< positional or --key
  /// API parameters: workload, pid, host, provider, service, kind, lifetime, evidence, finding_type.
  std::map<std::string, std::string> filter;
  bool holders = false, copies = false, readers = false, no_chain = false;
  std::vector<std::string> words;  ///< positional words of explain, rotation, catalog match, config check
  std::string wait;                ///< rotation: for how long; empty = not at all
  bool explain = false;            ///< workloads: all facts of those that were named
  std::string probe;               ///< status: ready or live, an orchestrator's question
  bool unusual = false;            ///< watch: without what a file's usual reader reads
  std::uint64_t count = 0;         ///< watch: end after so many rows; 0 = never
};

/// What the commands touch outside; replaceable by tests.
struct World {
  std::ostream& out;
  std::ostream& err;
  std::function<std::int64_t()> now_ns;
  std::function<Result<Answer>(const std::string& socket, const std::string& target)> get;
  std::function<Result<Answer>(const std::string& socket, const std::string& target,
                               const std::function<bool(std::string_view, std::string_view)>&)>
      follow;
  std::function<void(std::int64_t ns)> sleep;
  std::size_t width = 0;  ///< of the terminal; 0 = output is none
  bool colour = false;
};
[[nodiscard]] World real_world(std::ostream& out, std::ostream& err);

int run_status(const Options& options, World& world);
int run_doctor(const Options& options, World& world);
int run_uses(const Options& options, World& world);
int run_keys(const Options& options, World& world);
int run_key(const Options& options, World& world);
int run_rotation(const Options& options, World& world);
int run_workloads(const Options& options, World& world);
int run_findings(const Options& options, World& world);
int run_watch(const Options& options, World& world);
int run_explain(const Options& options, World& world);

/// For completions: the key IDs, a line each; nothing where nobody answers.
int run_key_words(const Options& options, World& world);
/// The same for the names of workloads, and the ids of those whose name a shell would take apart.
int run_workload_words(const Options& options, World& world);

int run_catalog_match(const Options& options, World& world);
int run_catalog_list(const Options& options, World& world);
int run_catalog_check(const Options& options, World& world);
int run_config_check(const Options& options, World& world);
int run_config_show(const Options& options, World& world);

}  // namespace keytrail::cli
