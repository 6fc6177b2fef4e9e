// SPDX-License-Identifier: Apache-2.0
// The commands that need no agent: the catalog and the configuration.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "agent/base/config.h"
#include "agent/base/log.h"
#include "agent/catalog/additions.h"
#include "agent/catalog/catalog.h"
#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/cli/table.h"
#include "agent/serve/secret_guard.h"

namespace keytrail::cli {

namespace json = boost::json;
using base::printable;

namespace {

/// The catalog the agent works with: the compiled-in one and the site's additions. Unsound additions are said, and not used, as the agent
/// does.
catalog::Catalog catalog_of(const Options& options, World& world) {
  base::ConfigOptions how;
  how.resolve = false;
  const Result<base::Config> config = base::load_config(options.config.empty() ? base::kDefaultConfigPath : options.config, how);
  const Result<catalog::Additions> additions =
      catalog::Additions::read_directory(config ? config->catalog_directory : base::Config{}.catalog_directory);
  if (!additions) {
    world.err << "! additions are not used:\n" << additions.error().message << "\n";
    return catalog::Catalog::builtin();
  }
  return additions->empty() ? catalog::Catalog::builtin() : catalog::Catalog::with_additions(*additions);
}

struct Match {
  std::string what, entry, says;
};

std::string env_says(const catalog::Env& env) {
  static constexpr const char* kUses[] = {"names a key", "holds a secret", "points at a file", "names a destination", "selects a key"};
  std::string out = kUses[static_cast<std::size_t>(env.use)];
  if (!env.kind.empty()) out += fmt::format(" ({})", env.kind);
  return out;
}

std::vector<Match> matches_of(const catalog::Catalog& catalog, const std::string& text) {
  std::vector<Match> out;
  if (text.starts_with('/')) {
    if (const catalog::File* file = catalog.match_file(text)) {
      out.push_back({"file", std::string(file->id),
                     file->format.empty() ? "configuration, no key" : fmt::format("holds {} (parser {})", file->kind, file->format)});
    }
    if (const catalog::LocalSocket socket = catalog.match_socket(text); socket.use == catalog::SocketUse::kBroker) {
      out.push_back({"socket", std::string(socket.id), fmt::format("broker, gives {}", socket.kind)});
    }
    if (const catalog::Program* program = catalog.match_program(text, text))
      out.push_back({"program", std::string(program->id), "known program"});
    return out;
  }
  if (const catalog::Env* env = catalog.match_env(text)) out.push_back({"variable", std::string(env->name), env_says(*env)});
  if (const auto host = catalog.match_host(text)) {
    out.push_back({"host", std::string(host->id),
                   fmt::format("{} / {}{}{}{}", host->provider, host->service, host->region.empty() ? "" : " / ", host->region,
                               host->takes_keys ? "" : ", takes no keys")});
  }
  if (const catalog::Kind* kind = catalog.kind(text)) out.push_back({"kind", std::string(kind->id), std::string(kind->title)});
  if (const auto format = catalog.match_format(text)) {
    const catalog::Catalog::Format* found = catalog.format(*format);
    out.push_back({"format", std::string(*format),
                   found == nullptr ? "" : fmt::format("{}{}", found->kind, found->public_id ? ", a public key ID" : ", a secret")});
  }
  return out;
}

int print_table(const Options& options, World& world, const Table& table, json::array rows) {
  if (options.output == "table" || options.output == "wide")
    world.out << table.text();
  else if (options.output == "yaml")
    world.out << to_yaml(rows);
  else if (options.output == "jsonl") {
    for (const json::value& row : rows)
      world.out << json::serialize(row) << "\n";
  } else {
    world.out << pretty_json(json::object{{"schema", "1.0"}, {"rows", std::move(rows)}});
  }
  return kOk;
}

}  // namespace

int run_catalog_match(const Options& options, World& world) {
  if (options.words.size() != 1) {
    world.err << "keytrail: catalog match wants one path, variable, host, kind or key ID\n";
    return kUsage;
  }
  const catalog::Catalog catalog = catalog_of(options, world);
  const std::vector<Match> matches = matches_of(catalog, options.words[0]);
  if (matches.empty()) {
    world.err << "keytrail: the catalog does not know "
              << (serve::looks_like_secret(catalog, options.words[0]) ? "it" : printable(options.words[0])) << "\n";
    return kNo;
  }
  Table table({{"MATCHES"}, {"ENTRY"}, {"WHAT IT SAYS"}});
  json::array rows;
  for (const Match& match : matches) {
    table.add({match.what, match.entry, match.says});
    rows.push_back(json::object{{"matches", match.what}, {"entry", match.entry}, {"says", match.says}});
  }
  return print_table(options, world, table, std::move(rows));
}

int run_catalog_list(const Options& options, World& world) {
  Table table({{"SECTION"}, {"ENTRY"}, {"WHAT IT SAYS"}});
  json::array rows;
  const catalog::Catalog catalog = catalog_of(options, world);
  for (const catalog::Catalog::Listed& entry : catalog.list()) {
    if (!options.words.empty() && entry.section != options.words[0]) continue;
    table.add({std::string(entry.section), std::string(entry.id), entry.line});
    rows.push_back(json::object{{"section", entry.section}, {"id", entry.id}, {"line", entry.line}});
  }
  return print_table(options, world, table, std::move(rows));
}

int run_config_check(const Options& options, World& world) {
  const std::string path = !options.words.empty() ? options.words[0] : options.config.empty() ? base::kDefaultConfigPath : options.config;
  base::ConfigOptions how;
  how.required = true;
  how.resolve = false;
  const Result<base::Config> config = base::load_config(path, how);
  if (!config) {
    world.err << "keytrail: " << config.error().message << "\n";
    return kNo;
  }
  for (const std::string& remark : config->remarks)
    world.out << "! " << printable(remark) << "\n";
  world.out << printable(path) << ": correct\n";
  return kOk;
}

int run_config_show(const Options& options, World& world) {
  base::ConfigOptions how;
  how.required = !options.config.empty();
  how.resolve = false;
  const std::string path = options.config.empty() ? base::kDefaultConfigPath : options.config;
  const Result<base::Config> config = base::load_config(path, how);
  if (!config) {
    world.err << "keytrail: " << config.error().message << "\n";
    return kNo;
  }
  world.out << "# " << (config->file.empty() ? "defaults: there is no " + printable(path) : "from " + printable(config->file)) << "\n"
            << base::render_config(*config);
  return kOk;
}

}  // namespace keytrail::cli
