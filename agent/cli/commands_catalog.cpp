// SPDX-License-Identifier: Apache-2.0
// `keytrail catalog`: what the agent knows of keys and destinations. Needs no agent; reads the same tables and
// additions as it does.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <span>
#include <sstream>

#include "agent/base/log.h"
#include "agent/base/nearest.h"
#include "agent/catalog/account.h"
#include "agent/catalog/additions.h"
#include "agent/catalog/catalog.h"
#include "agent/catalog/secret_guard.h"
#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/cli/question.h"
#include "agent/cli/table.h"

namespace keytrail::cli {

namespace json = boost::json;
using base::printable;
using catalog::Catalog;

namespace {

struct Match {
  std::string what, entry, says;
  std::string_view section;             ///< of `catalog list`
  std::vector<std::string_view> kinds;  ///< what the place may hold, the destination takes, or the request gives
  std::vector<std::string_view> readers;
  std::string provider, service, region;  ///< empty: it has none
};

std::vector<std::string_view> listed(std::span<const std::string_view> kinds) { return {kinds.begin(), kinds.end()}; }

std::string env_says(const catalog::Env& env) {
  static constexpr const char* kUses[] = {"names a key", "holds a secret", "points at a file", "names a destination",
                                          "selects a key"};
  std::string out = kUses[static_cast<std::size_t>(env.use)];
  if (env.use == catalog::EnvUse::kIdentifier && env.pair.empty()) out = "a setting";
  if (!env.kind.empty()) out += fmt::format(" ({})", env.kind);
  if (!env.service.empty()) out += fmt::format(", says where {} is", env.service);
  return out;
}

void match_path(const Catalog& catalog, const std::string& text, std::vector<Match>& out) {
  if (const catalog::File* file = catalog.match_file(text)) {
    out.push_back(
        {"file", std::string(file->id),
         file->format.empty() ? "configuration, no key" : fmt::format("holds {} (parser {})", file->kind, file->format),
         "files", listed(file->kinds), catalog.readers_of(*file), std::string(file->provider), "", ""});
  }
  if (const catalog::LocalSocket socket = catalog.match_socket(text); socket.use == catalog::SocketUse::kBroker) {
    out.push_back(
        {"socket", std::string(socket.id), fmt::format("broker, gives {}", socket.kind), "sockets", {socket.kind}});
  } else if (socket.use == catalog::SocketUse::kHarmless) {
    out.push_back({"socket", std::string(socket.id), "harmless: talking to it says nothing about keys", "sockets"});
  }
  if (const catalog::Program* program = catalog.match_program(text, text)) {
    std::string says = "known program";
    for (const auto& [on, word] : {std::pair{program->obeys_selectors, "obeys its selectors"},
                                   {program->runtime, "general runtime"},
                                   {program->relay, "relay: carries others' requests"},
                                   {program->hub, "hub: holds many keys of others"},
                                   {program->bulk_reader, "reads in bulk, without using"},
                                   {program->helper, "helper: hands keys over"}}) {
      if (on) says += fmt::format(", {}", word);
    }
    const bool reader = program->id.starts_with("rd.");
    out.push_back({"program", std::string(program->id), says, reader ? "readers" : "programs", listed(program->kinds)});
  }
}

void match_name(const Catalog& catalog, const std::string& text, std::vector<Match>& out) {
  const std::size_t slash = text.find('/');
  const std::string name = text.substr(0, slash);
  if (const catalog::Env* env = catalog.match_env(text))
    out.push_back({"variable",
                   std::string(env->name),
                   env_says(*env),
                   "env",
                   listed(env->kinds),
                   {},
                   std::string(env->provider),
                   "",
                   ""});
  if (const auto host = catalog.match_host(name)) {
    const char* takes = host->open ? ", its owner decides what it takes" : (host->takes_keys ? "" : ", takes no keys");
    out.push_back({"host",
                   std::string(host->id),
                   fmt::format("{} / {}{}{}{}", host->provider, host->service, host->region.empty() ? "" : " / ",
                               host->region, takes),
                   host->id.starts_with("bind.") ? "bindings" : "endpoints",
                   listed(catalog.accepted(*host)),
                   {},
                   std::string(host->provider),
                   host->service,
                   host->region});
  }
  if (slash != std::string::npos) {
    if (const auto request = catalog.match_request(name, text.substr(slash)))
      out.push_back({"request",
                     std::string(request->id),
                     fmt::format("hands out {}", fmt::join(request->kinds, ", ")),
                     "requests",
                     listed(request->kinds),
                     {},
                     std::string(request->provider),
                     "",
                     ""});
    return;
  }
  if (const catalog::Kind* kind = catalog.kind(text)) {
    out.push_back({"kind",
                   std::string(kind->id),
                   fmt::format("{}: {}, {}{}", kind->title, to_string(kind->key_class), to_string(kind->lifetime),
                               kind->authenticates ? "" : ", authenticates nothing"),
                   "kinds",
                   {kind->id},
                   {},
                   std::string(kind->provider),
                   "",
                   ""});
  }
  if (const auto format = catalog.match_format(text)) {
    const Catalog::Format* found = catalog.format(*format);
    std::string says =
        found == nullptr ? "" : fmt::format("{}{}", found->kind, found->public_id ? ", a public key ID" : ", a secret");
    if (const std::string account = catalog::account_of(text); !account.empty()) says += " of account " + account;
    Match match{"format", std::string(*format), says, "formats"};
    if (found != nullptr) {
      if (!found->kind.empty()) match.kinds = {found->kind};
      match.provider = found->provider;
    }
    out.push_back(std::move(match));
  }
}

/// Of variables, kinds and entries, the nearest to a word that matches nothing.
std::string nearest_of(const Catalog& catalog, std::string_view text) {
  const std::vector<Catalog::Listed> entries = catalog.list();
  std::vector<std::string_view> known;
  known.reserve(entries.size());
  for (const Catalog::Listed& entry : entries)
    known.push_back(entry.id);
  return base::nearest_few(text, known);
}

/// Rows as a table or in one of the forms for programs.
int print_table(const Options& options, World& world, const Table& table, json::array rows) {
  if (options.output == "table" || options.output == "wide")
    world.out << table.text(world.width);
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

constexpr std::string_view kCitedNote =
    "cited = the page is the right reference and was not opened: check before relying on it.\n";

void note_cited(const Options& options, World& world, bool any) {
  if (any && (options.output == "table" || options.output == "wide")) world.out << kCitedNote;
}

std::string_view mark_of(const std::vector<Catalog::Listed>& entries, const Match& match) {
  const auto found = std::ranges::find_if(
      entries, [&](const Catalog::Listed& entry) { return entry.section == match.section && entry.id == match.entry; });
  return found == entries.end() ? std::string_view() : found->verified;
}

json::array array_of(const std::vector<std::string_view>& texts) {
  json::array out;
  for (const std::string_view text : texts)
    out.emplace_back(text);
  return out;
}

}  // namespace

int run_catalog_match(const Options& options, World& world) {
  if (options.words.size() != 1) {
    world.err << "keytrail: catalog match wants one path, variable, host, kind or key ID\n";
    return kUsage;
  }
  const Catalog catalog = catalog_of(options, world);
  std::string text = options.words[0];
  if (text.starts_with("~/")) text.replace(0, 1, "/root");  // a shell leaves it where it was quoted
  std::vector<Match> matches;
  if (text.starts_with('/')) {
    match_path(catalog, text, matches);
  } else {
    match_name(catalog, text, matches);
  }
  if (matches.empty()) {
    const bool secret = catalog::looks_like_secret(catalog, text);
    const std::string near = secret ? "" : nearest_of(catalog, text);
    world.err << "keytrail: the catalog does not know " << (secret ? "it" : printable(text))
              << (near.empty() ? "" : fmt::format("; did you mean {}?", near)) << "\n";
    return kNo;
  }
  Table table({{"MATCHES"}, {"ENTRY"}, {"MARK"}, {"WHAT IT SAYS"}, {"KINDS"}, {"USUAL READERS"}});
  json::array rows;
  const std::vector<Catalog::Listed> entries = catalog.list();
  bool cited = false;
  for (const Match& match : matches) {
    const std::string_view mark = mark_of(entries, match);
    cited = cited || mark == "cited";
    table.add({match.what, match.entry, mark.empty() ? "-" : std::string(mark), match.says,
               match.kinds.empty() ? "-" : fmt::format("{}", fmt::join(match.kinds, " ")),
               match.readers.empty() ? "-" : fmt::format("{}", fmt::join(match.readers, " "))});
    rows.push_back(json::object{{"matches", match.what},
                                {"entry", match.entry},
                                {"verified", mark},
                                {"says", match.says},
                                {"provider", match.provider},
                                {"service", match.service},
                                {"region", match.region},
                                {"kinds", array_of(match.kinds)},
                                {"readers", array_of(match.readers)}});
  }
  const int code = print_table(options, world, table, std::move(rows));
  note_cited(options, world, cited);
  return code;
}

int run_catalog_list(const Options& options, World& world) {
  const Catalog catalog = catalog_of(options, world);
  const std::vector<Catalog::Listed> entries = catalog.list();
  if (!options.words.empty()) {
    std::vector<std::string_view> sections;
    for (const Catalog::Listed& entry : entries) {
      if (std::ranges::find(sections, entry.section) == sections.end()) sections.push_back(entry.section);
    }
    if (std::ranges::find(sections, options.words[0]) == sections.end()) {
      const std::string_view near = base::nearest(options.words[0], sections);
      world.err << "keytrail: the catalog has no section " << printable(options.words[0]) << "; "
                << (near.empty() ? fmt::format("it has {}", fmt::join(sections, ", "))
                                 : fmt::format("did you mean {}?", near))
                << "\n";
      return kUsage;
    }
  }
  Table table({{"SECTION"}, {"ENTRY"}, {"MARK"}, {"WHAT IT SAYS"}});
  json::array rows;
  bool cited = false;
  for (const Catalog::Listed& entry : entries) {
    if (!options.words.empty() && entry.section != options.words[0]) continue;
    cited = cited || entry.verified == "cited";
    table.add({std::string(entry.section), std::string(entry.id),
               entry.verified.empty() ? "-" : std::string(entry.verified), entry.line});
    rows.push_back(
        json::object{{"section", entry.section}, {"id", entry.id}, {"verified", entry.verified}, {"line", entry.line}});
  }
  const int code = print_table(options, world, table, std::move(rows));
  note_cited(options, world, cited);
  return code;
}

int run_catalog_check(const Options& options, World& world) {
  const std::string path = options.words.empty() ? catalog_directory(options) : options.words[0];
  std::error_code error;
  if (!options.words.empty() && !std::filesystem::exists(path, error)) {
    world.err << "keytrail: " << printable(path) << ": there is no such file\n";
    return kUsage;
  }
  const bool directory = std::filesystem::is_directory(path, error) || options.words.empty();
  const Result<catalog::Additions> read =
      directory ? catalog::Additions::read_directory(path) : catalog::Additions::read_file(path);
  const bool for_people = options.output == "table" || options.output == "wide";
  json::array problems;
  json::array remarks;
  if (!read) {
    std::istringstream lines(read.error().message);
    for (std::string line; std::getline(lines, line);) {
      if (for_people) world.err << line << "\n";
      problems.emplace_back(line);
    }
  } else {
    for (const std::string& remark : read->remarks()) {
      if (for_people) world.out << "! " << printable(remark) << "\n";
      remarks.emplace_back(printable(remark));
    }
  }
  if (!for_people) {
    json::object row{{"path", printable(path)},
                     {"correct", read.has_value()},
                     {"problems", std::move(problems)},
                     {"remarks", std::move(remarks)}};
    if (read) row["summary"] = read->summary();
    json::array rows;
    rows.push_back(std::move(row));
    print_table(options, world, Table({{"-"}}), std::move(rows));
  } else if (read) {
    world.out << printable(path) << ": correct, " << read->summary() << "\n";
  } else {
    world.err << "keytrail: " << printable(path) << " is refused as a whole; the agent goes on without it\n";
  }
  return read ? kOk : kNo;
}

}  // namespace keytrail::cli
