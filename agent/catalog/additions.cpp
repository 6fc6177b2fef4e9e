// SPDX-License-Identifier: Apache-2.0
// A site's entries beside the built-in tables: the constant arrays are copied, the new rows added, and the same matcher runs over both.
#include "agent/catalog/additions.h"

#include <algorithm>
#include <array>
#include <deque>
#include <filesystem>
#include <ranges>
#include <string_view>

#include "agent/base/log.h"
#include "agent/catalog/impl.h"
#include "agent/catalog/source.h"

namespace keytrail::catalog {

struct Additions::Data {
  source::Model model;
};

namespace {

using source::Problems;
using tables::Tables;

template <typename T>
std::vector<T> copied(std::span<const T> from) {
  return {from.begin(), from.end()};
}

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
  return out;
}

void say(Problems& problems, const source::Where& where, const std::string& what) {
  problems.push_back(where.file + ":" + std::to_string(where.line) + ": " + what);
}

/// What may not be added: sections that the kernel side or the examiner would have to know, and marks that raise evidence.
void check_scope(const source::Model& m, Problems& problems) {
  constexpr std::string_view kHint = " cannot be added here; additions hold kinds, files, endpoints, rules, sockets and programs";
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
       {m.kinds.size(), m.files.size(), m.endpoints.size(), m.rules.size(), m.sockets.size(), m.programs.size()}) {
    if (count > kMostEntries) problems.emplace_back("catalog.d: more than 2000 entries in one section");
  }
}

/// The merged tables and what their views point into. Never moved once made.
class Merged {
 public:
  explicit Merged(std::shared_ptr<const Additions::Data> data) : data_(std::move(data)), t_(tables::kTables) {
    const source::Model& m = data_->model;
    kinds(m);
    files(m);
    hosts(m);
    sockets(m);
    programs(m);
  }
  Merged(const Merged&) = delete;
  Merged& operator=(const Merged&) = delete;

  [[nodiscard]] const Tables& tables() const { return t_; }

 private:
  static std::uint16_t index(std::size_t value) { return static_cast<std::uint16_t>(value); }
  static std::string_view first(const std::vector<std::string>& list) {
    return list.empty() ? std::string_view() : std::string_view(list.front());
  }

  tables::Strings strings(const std::vector<std::string>& list) {
    lists_.emplace_back(list.begin(), list.end());
    return lists_.back();
  }

  tables::Indices indices(std::vector<std::uint16_t> list) {
    numbers_.push_back(std::move(list));
    return numbers_.back();
  }

  void line(std::string_view section, std::string_view id) { lines_.push_back({section, id, "of this site (catalog.d)"}); }

  void kinds(const source::Model& m) {
    kinds_ = copied(t_.kinds);
    lines_ = copied(t_.lines);
    for (const source::KindEntry& e : m.kinds) {
      kinds_.push_back({e.id, e.provider, e.title, e.key_class, e.lifetime, e.authenticates, e.guessable, e.wildcard, e.audience_decides});
      line("kinds", e.id);
    }
    std::ranges::sort(kinds_, {}, &Kind::id);
    t_.kinds = kinds_;
  }

  /// Files stay sorted by id, so the patterns' indices into them are made anew.
  void files(const source::Model& m) {
    files_ = copied(t_.files);
    for (const source::FileEntry& e : m.files) {
      files_.push_back({e.id, e.provider, first(e.kinds), e.format, e.selector, strings(e.kinds)});
      line("files", e.id);
    }
    std::ranges::sort(files_, {}, &File::id);
    const auto position = [this](std::string_view id) {
      return index(static_cast<std::size_t>(std::ranges::lower_bound(files_, id, {}, &File::id) - files_.begin()));
    };
    patterns_ = copied(t_.patterns);
    for (tables::FilePattern& pattern : patterns_)
      pattern.file = position(t_.files[pattern.file].id);
    for (const source::FileEntry& e : m.files) {
      for (const std::string& path : e.paths)
        pattern(path, position(e.id), false);
      for (const std::string& path : e.exclusions)
        pattern(path, position(e.id), true);
    }
    // By file, exclusions last, as the matcher looks for them.
    std::ranges::sort(patterns_, {}, [](const tables::FilePattern& p) { return std::pair(p.file, p.exclusion); });
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      if (patterns_[i].exclusion) continue;
      const std::string_view leaf = patterns_[i].segments.back();
      if (leaf.find_first_of("*?") == std::string_view::npos) {
        leaves_.push_back({leaf, index(i)});
      } else {
        wild_.push_back(index(i));
      }
    }
    std::ranges::sort(leaves_, {}, &tables::Leaf::leaf);
    t_.files = files_;
    t_.patterns = patterns_;
    t_.exact_leaves = leaves_;
    t_.wild_patterns = wild_;
  }

  void pattern(const std::string& path, std::uint16_t file, bool exclusion) {
    const auto cut = source::cut_pattern(path);
    if (!cut) return;
    owned_.push_back(cut->segments);
    patterns_.push_back({file, cut->literals, exclusion, cut->home, cut->anywhere, strings(owned_.back())});
  }

  void hosts(const source::Model& m) {
    hosts_ = copied(t_.hosts);
    accepts_ = copied(t_.accepts);
    domains_ = copied(t_.domains);
    for (const source::EndpointEntry& e : m.endpoints) {
      const std::uint16_t host = index(hosts_.size());
      for (const std::string& name : e.exact)
        domains_.push_back({name, tables::How::kExact, host});
      for (const std::string& name : e.suffix)
        domains_.push_back({name, tables::How::kSuffix, host});
      for (const std::string& name : e.domains)
        domains_.push_back({name, tables::How::kRegex, host});
      hosts_.push_back({e.id, e.provider, e.service, e.region, e.region_default, e.regex, accept(m, e.id), false});
      line("endpoints", e.id);
    }
    std::ranges::sort(domains_, {}, [](const tables::Domain& d) { return std::pair(d.domain, d.host); });
    t_.hosts = hosts_;
    t_.accepts = accepts_;
    t_.domains = domains_;
  }

  std::uint16_t accept(const source::Model& m, const std::string& endpoint) {
    for (const source::RuleEntry& rule : m.rules) {
      if (std::ranges::find(rule.endpoints, endpoint) == rule.endpoints.end()) continue;
      std::vector<std::uint16_t> issuers;
      issuers.reserve(rule.accept.issuers.size());
      for (const std::string& id : rule.accept.issuers) {
        issuers.push_back(index(static_cast<std::size_t>(std::ranges::find(t_.issuers, id, &tables::Issuer::id) - t_.issuers.begin())));
      }
      accepts_.push_back({strings(rule.accept.kinds), indices(std::move(issuers)), rule.accept.anonymous, rule.accept.open});
      return index(accepts_.size() - 1);
    }
    return tables::kNone;
  }

  void sockets(const source::Model& m) {
    sockets_ = copied(t_.sockets);
    for (const source::SocketEntry& e : m.sockets) {
      for (const std::string& path : e.paths)
        sockets_.push_back({path, {e.use, e.id, first(e.kinds)}});
      line("sockets", e.id);
    }
    t_.sockets = sockets_;
  }

  void programs(const source::Model& m) {
    programs_ = copied(t_.programs);
    names_ = copied(t_.program_names);
    for (const source::ProgramEntry& e : m.programs) {
      for (const std::string& name : e.names)
        names_.push_back({name, e.script, index(programs_.size())});
      programs_.push_back({e.id, false, e.runtime, e.relay, e.hub, e.bulk_reader, false});
      line("programs", e.id);
    }
    t_.programs = programs_;
    t_.program_names = names_;
    t_.lines = lines_;
  }

  std::shared_ptr<const Additions::Data> data_;
  Tables t_;
  std::deque<std::vector<std::string_view>> lists_;
  std::deque<std::vector<std::string>> owned_;
  std::deque<std::vector<std::uint16_t>> numbers_;
  std::vector<Kind> kinds_;
  std::vector<File> files_;
  std::vector<tables::FilePattern> patterns_;
  std::vector<tables::Leaf> leaves_;
  std::vector<std::uint16_t> wild_;
  std::vector<tables::Host> hosts_;
  std::vector<tables::Accept> accepts_;
  std::vector<tables::Domain> domains_;
  std::vector<tables::Socket> sockets_;
  std::vector<Program> programs_;
  std::vector<tables::ProgramName> names_;
  std::vector<tables::Line> lines_;
};

struct Site {
  explicit Site(std::shared_ptr<const Additions::Data> data) : merged(std::move(data)), impl(merged.tables()) {}
  Merged merged;
  Catalog::Impl impl;
};

/// The problems as lines for a person. What they quote of a file is cut and made safe for a terminal.
std::string said(const Problems& problems) {
  constexpr std::size_t kMostLines = 100;
  constexpr std::size_t kMostBytes = 400;
  std::string all;
  for (const std::string& problem : problems | std::views::take(kMostLines)) {
    const std::size_t cut = std::min(problem.size(), kMostBytes);
    all += (all.empty() ? "" : "\n") + base::printable(std::string_view(problem).substr(0, cut)) + (cut < problem.size() ? "…" : "");
  }
  if (problems.size() > kMostLines) all += "\ncatalog.d: " + std::to_string(problems.size() - kMostLines) + " more problems";
  return all;
}

Result<source::Model> checked(source::Model model, Problems problems) {
  if (problems.empty()) {
    const source::Model base = builtin_ids();
    source::check(model, &base, problems);
    check_scope(model, problems);
  }
  if (problems.empty()) check_contradictions(model, problems);
  if (problems.empty()) return model;
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
  return m.kinds.empty() && m.files.empty() && m.endpoints.empty() && m.sockets.empty() && m.programs.empty();
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

Catalog Catalog::with_additions(const Additions& additions) {
  auto site = std::make_shared<const Site>(additions.data_);
  return Catalog(site->impl, site);
}

}  // namespace keytrail::catalog
