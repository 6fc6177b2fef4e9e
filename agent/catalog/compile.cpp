// SPDX-License-Identifier: Apache-2.0
// keytrail-catalog-compile: reads data/*.yaml, checks it, and writes it as C++ constants. Runs at build time only.
// Usage: keytrail-catalog-compile DATA_DIRECTORY TABLES.cpp KERNEL_TABLES.cpp   (or: DATA_DIRECTORY --check, --report)
// Exit: 0 written, 1 the data has problems (each on a line "file:line: …"), 2 usage or a file that cannot be written.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "agent/catalog/build.h"
#include "agent/catalog/emit.h"
#include "agent/catalog/source.h"

namespace {

namespace source = keytrail::catalog::source;

/// The whole file at once; the build system decides whether it is needed.
bool write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  return !out.fail();
}

void report(const source::Model& m, const source::KernelRules& rules) {
  fmt::print("kinds {}, proofs {}, files {}, env {}, endpoints {}, rules {}, services {}, bindings {}, ports {}\n",
             m.kinds.size(), m.proofs.size(), m.files.size(), m.env.size(), m.endpoints.size(), m.rules.size(),
             m.services.size(), m.bindings.size(), m.ports.size());
  fmt::print(
      "issuers {}, requests {}, metadata {}, sockets {}, brokers {}, commands {}, programs {}, readers {}, selectors "
      "{}, formats {}\n",
      m.issuers.size(), m.requests.size(), m.metadata.size(), m.sockets.size(), m.brokers.size(), m.commands.size(),
      m.programs.size(), m.readers.size(), m.selectors.size(), m.formats.size());
  fmt::print("kernel side: names {}, directories {}, variables {}, flags {}, argument formats {}\n", rules.names.size(),
             rules.directories.size(), rules.env.size(), rules.flags.size(), rules.formats.size());
  fmt::print(
      "paths whose last component says too little for a rule on names ({}); they need the rule on the directory's "
      "name:\n",
      rules.free_names.size());
  for (const std::string& path : rules.free_names)
    fmt::print("  {}\n", path);
}

int run(const std::vector<std::string>& args) {
  const bool check_only = args.size() == 2 && (args[1] == "--check" || args[1] == "--report");
  if (args.size() != 3 && !check_only) {
    fmt::print(stderr,
               "usage: keytrail-catalog-compile DATA_DIRECTORY TABLES.cpp KERNEL_TABLES.cpp | DATA_DIRECTORY --check | "
               "--report\n");
    return 2;
  }
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(args[0], error)) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  }
  std::ranges::sort(files);
  if (files.empty()) {
    fmt::print(stderr, "{}: no *.yaml file there\n", args[0]);
    return 2;
  }
  source::Model model;
  source::Problems problems;
  for (const std::string& file : files)
    source::read_file(file, model, problems);
  source::check(model, nullptr, problems);
  for (const std::string& problem : problems)
    fmt::print(stderr, "{}\n", problem);
  if (!problems.empty()) return 1;
  source::add_bulk_readers(model);
  const source::KernelRules rules = source::kernel_rules(model);
  if (check_only) {
    if (args[1] == "--report") report(model, rules);
    return 0;
  }
  if (!write_file(args[1], source::emit_tables(source::Built(model).tables())) ||
      !write_file(args[2], source::emit_kernel_tables(rules))) {
    fmt::print(stderr, "{} or {}: cannot be written\n", args[1], args[2]);
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "keytrail-catalog-compile: {}\n", error.what());
    return 2;
  }
}
