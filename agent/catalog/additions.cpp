// SPDX-License-Identifier: Apache-2.0
// Reads a site's own entries and refuses what is not sound, what the built-in catalog contradicts, and what would raise
// evidence.
#include "agent/catalog/additions.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <ranges>
#include <string_view>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/small_file.h"
#include "agent/catalog/additions_check.h"
#include "agent/catalog/additions_data.h"
#include "agent/catalog/build.h"
#include "agent/catalog/impl.h"

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

/// The problems as lines for a person. What they quote of a file is cut and made safe for a terminal.
std::string said(const Problems& problems) {
  constexpr std::size_t kMostBytes = 400;
  std::string all;
  for (const std::string& problem : problems | std::views::take(source::kMaxProblems)) {
    const std::size_t cut = std::min(problem.size(), kMostBytes);
    all += (all.empty() ? "" : "\n") + base::printable(std::string_view(problem).substr(0, cut)) +
           (cut < problem.size() ? "…" : "");
  }
  if (problems.size() > source::kMaxProblems) {
    all += "\ncatalog.d: " + std::to_string(problems.size() - source::kMaxProblems) + " more problems";
  }
  return all;
}

Result<source::Model> checked(source::Model model, Problems problems) {
  if (problems.empty()) {
    const source::Model base = builtin_ids();
    check_bounds(model, problems);  // first: what follows takes time with the entries
    if (problems.empty()) source::check(model, &base, problems);
    if (problems.empty()) check_scope(model, problems);
  }
  if (problems.empty()) check_contradictions(model, problems);
  if (problems.empty()) {
    source::add_bulk_readers(model);
    return model;
  }
  return fail(Error::Code::kInvalid, said(problems));
}

}  // namespace

Result<Additions> Additions::make(source::Model read, std::vector<std::string> problems, std::size_t content) {
  Result<source::Model> good = checked(std::move(read), std::move(problems));
  if (!good) return std::unexpected(good.error());
  auto data = std::make_shared<Data>();
  data->model = std::move(*good);
  data->content = content;
  return Additions(std::move(data));
}

Result<Additions> Additions::read_text(const std::string& text, const std::string& name) {
  if (text.size() > kMaxAdditionBytes)
    return fail(Error::Code::kTooLarge, base::printable(name) + ":1: is larger than 1 MiB; split it");
  source::Model model;
  Problems problems;
  source::read_text(text, name, model, problems);
  return make(std::move(model), std::move(problems), std::hash<std::string>{}(text));
}

Result<Additions> Additions::read_file(const std::string& path) {
  const Result<std::string> text = base::read_small_file(path, kMaxAdditionBytes, true);
  return text ? read_text(*text, path) : std::unexpected(text.error());
}

Result<Additions> Additions::read_directory(const std::string& directory) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) return none();
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".yaml") files.push_back(it->path());
    if (files.size() > kMaxAdditionFiles) break;
  }
  if (error) return fail(Error::Code::kSystem, directory + ": cannot be read: " + error.message());
  if (files.size() > kMaxAdditionFiles) {
    return fail(Error::Code::kTooLarge,
                directory + ": more than " + std::to_string(kMaxAdditionFiles) + " files; join some");
  }
  std::ranges::sort(files);
  source::Model model;
  Problems problems;
  std::string all;
  for (const std::filesystem::path& file : files) {
    // A link to a regular file is fine: that is how a ConfigMap is mounted.
    const Result<std::string> text = base::read_small_file(file.string(), kMaxAdditionBytes, true);
    if (!text) return std::unexpected(text.error());
    if (all.size() + text->size() > kMaxAdditionBytes) {
      return fail(Error::Code::kTooLarge, directory + ": all files together are larger than 1 MiB");
    }
    source::read_text(*text, file.string(), model, problems);
    all += file.string() + "\n" + *text;
  }
  return make(std::move(model), std::move(problems), files.empty() ? 0 : std::hash<std::string>{}(all));
}

Additions Additions::none() { return Additions(std::make_shared<Data>()); }

bool Additions::same_as(const Additions& other) const { return data_->content == other.data_->content; }

bool Additions::empty() const {
  const source::Model& m = data_->model;
  return m.kinds.empty() && m.files.empty() && m.endpoints.empty() && m.sockets.empty() && m.programs.empty() &&
         m.readers.empty();
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

std::vector<std::string> Additions::remarks() const {
  std::vector<std::string> out;
  for (const source::FileEntry& e : data_->model.files) {
    for (const std::string& path : e.paths) {
      const auto cut = source::cut_pattern(path);
      if (!cut || e.kinds.empty() || cut->segments.back().find_first_of("*?") == std::string::npos) continue;
      out.push_back(e.where.file + ":" + std::to_string(e.where.line) + ": `" + path +
                    "` has a wildcard in its last part: such a file is seen at the agent's start, and later only "
                    "where a name of the built-in catalog covers it");
    }
  }
  for (const source::EndpointEntry& e : data_->model.endpoints) {
    const bool ruled = std::ranges::any_of(data_->model.rules, [&](const source::RuleEntry& rule) {
      return std::ranges::find(rule.endpoints, e.id) != rule.endpoints.end();
    });
    if (!ruled) {
      out.push_back(e.where.file + ":" + std::to_string(e.where.line) + ": `" + e.id +
                    "` has no rule: it takes no keys, so a call to it is no use; add an entry to `rules`");
    }
  }
  return out;
}

std::string Additions::summary() const {
  const source::Model& m = data_->model;
  const auto programs = std::ranges::count(m.programs, false, &source::ProgramEntry::from_reader);
  const std::pair<std::string_view, std::size_t> counts[] = {
      {"kind", m.kinds.size()},    {"file", m.files.size()},     {"endpoint", m.endpoints.size()},
      {"rule", m.rules.size()},    {"socket", m.sockets.size()}, {"program", static_cast<std::size_t>(programs)},
      {"reader", m.readers.size()}};
  std::string out;
  for (const auto& [what, count] : counts) {
    if (count == 0) continue;
    out += (out.empty() ? "" : ", ") + std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
  }
  return out.empty() ? "no entries" : out;
}

namespace {

/// A site's entries behind the built-in ones, and the same matcher over both.
struct Site {
  explicit Site(std::shared_ptr<const Additions::Data> additions)
      : data(std::move(additions)), built(data->model, tables::kTables, true), impl(built.tables()) {}
  std::shared_ptr<const Additions::Data> data;
  source::Built built;
  Catalog::Impl impl;
};

}  // namespace

Catalog Catalog::with_additions(const Additions& additions) {
  auto site = std::make_shared<const Site>(additions.data_);
  return Catalog(site->impl, site);
}

}  // namespace keytrail::catalog
