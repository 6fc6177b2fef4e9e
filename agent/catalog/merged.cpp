// SPDX-License-Identifier: Apache-2.0
// A site's entries beside the built-in tables: the constant arrays are copied, the new rows added, and the same matcher runs over both.
#include <algorithm>
#include <deque>
#include <string_view>
#include <utility>

#include "agent/catalog/additions_data.h"
#include "agent/catalog/impl.h"

namespace keytrail::catalog {
namespace {

using tables::Tables;

template <typename T>
std::vector<T> copied(std::span<const T> from) {
  return {from.begin(), from.end()};
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

  void line(std::string_view section, std::string_view id) { lines_.push_back({section, id, "of this site (catalog.d)", "site"}); }

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
    folders_ = copied(t_.program_folders);
    for (const source::ProgramEntry& e : m.programs) {
      if (!e.arguments.empty()) continue;  // its name alone says nothing
      for (const std::string& name : e.names)
        names_.push_back({name, e.script, index(programs_.size())});
      for (const std::string& folder : e.folders)
        folders_.push_back({folder, index(programs_.size())});
      programs_.push_back({e.id, false, e.runtime, e.relay, e.hub, e.bulk_reader, false, e.ends_tls, e.adds_key, strings(e.kinds)});
      if (!e.from_reader) line("programs", e.id);
    }
    t_.programs = programs_;
    t_.program_names = names_;
    t_.program_folders = folders_;
    readers_ = copied(t_.readers);
    for (const source::ReaderEntry& e : m.readers) {
      readers_.push_back({e.id, e.role, strings(e.names), strings(e.folders), strings(e.reads)});
      line("readers", e.id);
    }
    t_.readers = readers_;
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
  std::vector<tables::ProgramFolder> folders_;
  std::vector<tables::ReaderData> readers_;
  std::vector<tables::Line> lines_;
};

struct Site {
  explicit Site(std::shared_ptr<const Additions::Data> data) : merged(std::move(data)), impl(merged.tables()) {}
  Merged merged;
  Catalog::Impl impl;
};

}  // namespace

Catalog Catalog::with_additions(const Additions& additions) {
  auto site = std::make_shared<const Site>(additions.data_);
  return Catalog(site->impl, site);
}

}  // namespace keytrail::catalog
