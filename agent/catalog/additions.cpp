// SPDX-License-Identifier: Apache-2.0
// Reads a site's own entries and refuses what is not sound, what the built-in catalog contradicts, and what would raise evidence.
#include "agent/catalog/additions.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <ranges>
#include <string_view>

#include "agent/base/log.h"
#include "agent/catalog/additions_data.h"
#include "agent/catalog/tables.h"

namespace keytrail::catalog {

namespace {

using source::Problems;
using tables::Tables;

/// Names of the built-in catalog, so that additions can refer to them and cannot redefine them.
source::Model builtin_ids() {
  const Tables& t = tables::kTables;
  source::Model out;
  for (const Kind& e : t.kinds)
    out.kinds.push_back({.id = std::string(e.id)});
  for (const File& e : t.files)
    out.files.push_back({.id = std::string(e.id)});
  for (const Env& e : t.env)
    out.env.push_back({.name = std::string(e.name)});
  for (const tables::Host& e : t.hosts)
    out.endpoints.push_back({.id = std::string(e.id)});
  for (const tables::Issuer& e : t.issuers)
    out.issuers.push_back({.id = std::string(e.id)});
  for (const tables::SelectorData& e : t.selectors)
    out.selectors.push_back({.id = std::string(e.id)});
  for (const tables::Socket& e : t.sockets)
    out.sockets.push_back({.id = std::string(e.is.id)});
  for (const Program& e : t.programs)
    out.programs.push_back({.id = std::string(e.id)});
  for (const tables::ReaderData& e : t.readers)
    out.readers.push_back({.id = std::string(e.id)});
  for (const tables::Request& e : t.requests)
    out.requests.push_back({.id = std::string(e.is.id)});
  for (const tables::Metadata& e : t.metadata)
    out.metadata.push_back({.id = std::string(e.id)});
  // Proofs, commands and brokers have no table of their own.
  for (const tables::Line& e : t.lines) {
    if (e.section == "proofs") out.proofs.push_back({.id = std::string(e.id)});
    if (e.section == "commands") out.commands.push_back({.id = std::string(e.id)});
    if (e.section == "brokers") out.brokers.push_back({.id = std::string(e.id)});
  }
  return out;
}

void say(Problems& problems, const source::Where& where, const std::string& what) {
  problems.push_back(where.file + ":" + std::to_string(where.line) + ": " + what);
}

/// What may not be added: sections that the kernel side or the examiner would have to know, and marks that raise evidence.
void check_scope(const source::Model& m, Problems& problems) {
  constexpr std::string_view kHint = " cannot be added here; additions hold kinds, files, endpoints, rules, sockets, programs and readers";
  const auto refuse = [&](const auto& entries, const char* section) {
    if (!entries.empty()) say(problems, entries.front().where, "section `" + std::string(section) + "`" + std::string(kHint));
  };
  refuse(m.env, "env");
  refuse(m.issuers, "issuers");
  refuse(m.services, "services");
  refuse(m.bindings, "bindings");
  refuse(m.ports, "ports");
  refuse(m.selectors, "selectors");
  refuse(m.metadata, "metadata");
  refuse(m.formats, "formats");
  refuse(m.proofs, "proofs");
  refuse(m.requests, "requests");
  refuse(m.commands, "commands");
  refuse(m.brokers, "brokers");
  if (!m.installed.empty()) problems.push_back("catalog.d: section `installed`" + std::string(kHint));
  for (const source::ProgramEntry& e : m.programs) {
    if (e.obeys_selectors || e.helper)
      say(problems, e.where, "`" + e.id + "`: obeys_selectors and helper raise evidence; only the built-in catalog sets them");
  }
  for (const source::FileEntry& e : m.files) {
    static constexpr std::array<std::string_view, 6> kFormats = {"aws_credentials", "raw_token", "jwt", "pem", "ssh_private_key", "opaque"};
    if (!e.format.empty() && std::ranges::find(kFormats, e.format) == kFormats.end()) {
      say(problems, e.where,
          "`" + e.id + "`: format `" + e.format + "` is not one of: aws_credentials, raw_token, jwt, pem, ssh_private_key, opaque");
    }
  }
}

/// An entry that the built-in catalog contradicts would silently do nothing.
void check_contradictions(const source::Model& m, Problems& problems) {
  const Catalog& builtin = Catalog::builtin();
  for (const source::EndpointEntry& e : m.endpoints) {
    std::vector<std::string> hosts = e.exact;
    hosts.insert(hosts.end(), e.suffix.begin(), e.suffix.end());
    for (const std::string& host : hosts) {
      if (const auto known = builtin.match_host(host)) {
        say(problems, e.where,
            "`" + host + "` is already " + std::string(known->provider) + "/" + known->service + " (`" + std::string(known->id) +
                "`); remove it here");
      }
    }
  }
  for (const source::RuleEntry& e : m.rules) {
    for (const std::string& id : e.endpoints) {
      if (std::ranges::find(m.endpoints, id, &source::EndpointEntry::id) == m.endpoints.end()) {
        say(problems, e.where, "a rule may only name endpoints of the additions, not `" + id + "`");
      }
    }
  }
  // Indices into the merged tables have 16 bits.
  constexpr std::size_t kMostPaths = 20'000;
  std::size_t paths = 0;
  for (const source::FileEntry& e : m.files)
    paths += e.paths.size() + e.exclusions.size();
  for (const source::EndpointEntry& e : m.endpoints)
    paths += e.exact.size() + e.suffix.size() + e.domains.size();
  if (paths > kMostPaths) problems.emplace_back("catalog.d: more than 20000 paths and hosts");
  constexpr std::size_t kMostEntries = 2000;
  for (const std::size_t count :
       {m.kinds.size(), m.files.size(), m.endpoints.size(), m.rules.size(), m.sockets.size(), m.programs.size(), m.readers.size()}) {
    if (count > kMostEntries) problems.emplace_back("catalog.d: more than 2000 entries in one section");
  }
}

/// The problems as lines for a person. What they quote of a file is cut and made safe for a terminal.
std::string said(const Problems& problems) {
  constexpr std::size_t kMostBytes = 400;
  std::string all;
  for (const std::string& problem : problems | std::views::take(source::kMaxProblems)) {
    const std::size_t cut = std::min(problem.size(), kMostBytes);
    all += (all.empty() ? "" : "\n") + base::printable(std::string_view(problem).substr(0, cut)) + (cut < problem.size() ? "…" : "");
  }
  if (problems.size() > source::kMaxProblems) {
    all += "\ncatalog.d: " + std::to_string(problems.size() - source::kMaxProblems) + " more problems";
  }
  return all;
}

Result<source::Model> checked(source::Model model, Problems problems) {
  if (problems.empty()) {
    const source::Model base = builtin_ids();
    source::check(model, &base, problems);
    check_scope(model, problems);
  }
  if (problems.empty()) check_contradictions(model, problems);
  if (problems.empty()) {
    source::add_bulk_readers(model);
    return model;
  }
  return fail(Error::Code::kInvalid, said(problems));
}

}  // namespace

Result<Additions> Additions::read_text(const std::string& text, const std::string& name) {
  auto data = std::make_shared<Data>();
  Problems problems;
  source::read_text(text, name, data->model, problems);
  Result<source::Model> model = checked(std::move(data->model), std::move(problems));
  if (!model) return std::unexpected(model.error());
  data->model = std::move(*model);
  return Additions(std::move(data));
}

Result<Additions> Additions::read_directory(const std::string& directory) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) return Additions(std::make_shared<Data>());
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".yaml") files.push_back(it->path());
  }
  if (error) return fail(Error::Code::kSystem, directory + ": cannot be read: " + error.message());
  std::ranges::sort(files);
  source::Model model;
  Problems problems;
  for (const std::filesystem::path& file : files) {
    if (!std::filesystem::is_regular_file(file, error)) {
      return fail(Error::Code::kInvalid, file.string() + ":1: is no regular file; additions are plain files in " + directory);
    }
    if (std::filesystem::file_size(file, error) > kMaxAdditionBytes) {
      return fail(Error::Code::kTooLarge, file.string() + ":1: is larger than 1 MiB; split it");
    }
    source::read_file(file.string(), model, problems);
  }
  Result<source::Model> good = checked(std::move(model), std::move(problems));
  if (!good) return std::unexpected(good.error());
  auto data = std::make_shared<Data>();
  data->model = std::move(*good);
  return Additions(std::move(data));
}

bool Additions::empty() const {
  const source::Model& m = data_->model;
  return m.kinds.empty() && m.files.empty() && m.endpoints.empty() && m.sockets.empty() && m.programs.empty() && m.readers.empty();
}

std::vector<std::string> Additions::watch_names() const {
  std::vector<std::string> out;
  for (const source::FileEntry& e : data_->model.files) {
    for (const std::string& path : e.paths) {
      const auto cut = source::cut_pattern(path);
      if (!cut || cut->segments.back().find_first_of("*?") != std::string::npos) continue;
      if (std::ranges::find(out, cut->segments.back()) == out.end()) out.push_back(cut->segments.back());
    }
  }
  return out;
}

}  // namespace keytrail::catalog
