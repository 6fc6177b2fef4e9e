// SPDX-License-Identifier: Apache-2.0
#include "agent/catalog/build.h"

#include <algorithm>
#include <optional>
#include <span>
#include <tuple>

namespace keytrail::catalog::source {
namespace {

using tables::Tables;

template <typename T>
void take(std::vector<T>& to, std::span<const T> from) {
  to.assign(from.begin(), from.end());
}

std::uint16_t index(std::size_t value) { return static_cast<std::uint16_t>(value); }

std::string_view first(const std::vector<std::string>& list) {
  return list.empty() ? std::string_view() : std::string_view(list.front());
}

bool wild(std::string_view text) { return text.find_first_of("*?") != std::string_view::npos; }

/// "provider/service" of the binding that the variable is a destination of.
std::string service_of(const EnvEntry& e, const Model& m) {
  const auto binding = std::ranges::find(m.bindings, e.binding, &BindingEntry::id);
  if (binding == m.bindings.end()) return {};
  return (binding->provider == tables::kByVariable ? e.provider : binding->provider) + "/" + binding->service;
}

}  // namespace

Built::Built(const Model& model, const Tables& base, bool site) : t_(base) {
  kinds(model);
  files(model);
  env(model);
  issuers(model);
  accepts(model);
  hosts(model);
  metadata(model);
  ranges(model);
  sockets(model);
  programs(model);
  selectors(model);
  formats(model);
  lines(model, site);
  point();
}

tables::Strings Built::strings(const std::vector<std::string>& list) {
  if (list.empty()) return {};
  return lists_.emplace_back(list.begin(), list.end());
}

tables::Indices Built::indices(std::vector<std::uint16_t> list) {
  if (list.empty()) return {};
  return numbers_.emplace_back(std::move(list));
}

std::string_view Built::owned(std::string text) {
  if (text.empty()) return {};
  return texts_.emplace_back(std::move(text));
}

void Built::kinds(const Model& m) {
  take(kinds_, t_.kinds);
  const auto is_shaped = [&](std::string_view kind) {
    return std::ranges::any_of(m.formats, [&](const FormatEntry& e) { return e.only && first(e.kinds) == kind; });
  };
  const auto is_known = [&](std::string_view kind) {
    return std::ranges::any_of(m.formats, [&](const FormatEntry& e) {
      return e.has_argument && !e.public_id && !e.weak && first(e.kinds) == kind;
    });
  };
  for (const KindEntry& e : m.kinds) {
    const bool shaped = is_shaped(e.id);
    const std::uint16_t shortest = shaped ? kShortestOfShaped : is_known(e.id) ? kShortestOfKnown : std::uint16_t{0};
    kinds_.push_back({e.id, e.provider, e.title, e.key_class, e.lifetime, e.authenticates, e.guessable, e.wildcard,
                      e.audience_decides, shaped, shortest, strings(e.signs)});
  }
  std::ranges::sort(kinds_, {}, &Kind::id);
}

/// Files are sorted by id, so the patterns' indices into them are made anew.
void Built::files(const Model& m) {
  take(files_, t_.files);
  for (const FileEntry& e : m.files)
    files_.push_back({e.id, e.provider, first(e.kinds), e.format, e.selector, strings(e.kinds), e.by_content});
  std::ranges::sort(files_, {}, &File::id);
  take(patterns_, t_.patterns);
  for (tables::FilePattern& pattern : patterns_) {
    const std::string_view id = t_.files[pattern.file].id;
    pattern.file =
        index(static_cast<std::size_t>(std::ranges::lower_bound(files_, id, {}, &File::id) - files_.begin()));
  }
  take(flags_, t_.file_flags);
  take(options_, t_.file_options);
  for (const FileEntry& e : m.files) {
    add_patterns(e);
    for (const std::string& text : e.flags) {
      ProgramFlag flag = program_and_flag(text);
      flags_.push_back({owned(std::move(flag.program)), owned(std::move(flag.flag)), e.id});
    }
    for (const std::string& text : e.options) {
      ProgramFlag option = program_and_flag(text);
      options_.push_back({owned(std::move(option.program)), owned(std::move(option.flag)), e.id});
    }
  }
  sort_patterns();
  for (std::size_t i = 0; i < patterns_.size(); ++i) {
    if (patterns_[i].exclusion) continue;
    const std::string_view leaf = patterns_[i].segments.back(), first = patterns_[i].segments.front();
    if (wild(leaf)) {
      heads_.push_back({wild(first) ? std::string_view() : first, index(i)});
    } else {
      leaves_.push_back({leaf, index(i)});
    }
  }
  std::ranges::sort(heads_, {}, [](const tables::Head& h) { return std::pair(h.first, h.pattern); });
  std::ranges::sort(leaves_, {}, [](const tables::Leaf& l) { return std::pair(l.leaf, l.pattern); });
}

/// By file, exclusions last, as the matcher looks for them; else they stay in their order.
void Built::sort_patterns() {
  std::vector<std::tuple<std::uint16_t, bool, std::size_t>> order;
  order.reserve(patterns_.size());
  for (std::size_t i = 0; i < patterns_.size(); ++i)
    order.emplace_back(patterns_[i].file, patterns_[i].exclusion, i);
  std::ranges::sort(order);
  std::vector<tables::FilePattern> sorted;
  sorted.reserve(order.size());
  for (const auto& [file, exclusion, at] : order)
    sorted.push_back(patterns_[at]);
  patterns_ = std::move(sorted);
}

void Built::add_patterns(const FileEntry& e) {
  const auto file = index(static_cast<std::size_t>(
      std::ranges::lower_bound(files_, std::string_view(e.id), {}, &File::id) - files_.begin()));
  for (const bool exclusion : {false, true}) {
    for (const std::string& path : exclusion ? e.exclusions : e.paths) {
      std::optional<CutPattern> cut = cut_pattern(path);
      if (!cut) continue;
      segments_.push_back(std::move(cut->segments));
      patterns_.push_back({file, cut->literals, exclusion, cut->home, cut->anywhere, strings(segments_.back())});
    }
  }
}

/// Names without '*' first, both parts sorted; of patterns the one with most literal characters is tried first.
void Built::env(const Model& m) {
  take(env_, t_.env);
  for (const EnvEntry& e : m.env)
    env_.push_back({e.name, e.provider, e.use, first(e.kinds), e.pair, e.file, owned(service_of(e, m)), e.show,
                    strings(e.kinds), e.binding, e.url(), e.owner});
  std::ranges::sort(env_, {}, [](const Env& e) { return std::pair(e.name.contains('*'), e.name); });
  for (std::size_t i = 0; i < env_.size(); ++i) {
    if (env_[i].name.contains('*')) env_patterns_.push_back({env_[i].name, index(i)});
  }
  t_.exact_env = index(env_.size() - env_patterns_.size());
  std::ranges::sort(env_patterns_, {}, [](const tables::EnvPattern& p) {
    const auto literals = static_cast<std::ptrdiff_t>(p.pattern.size()) - std::ranges::count(p.pattern, '*');
    return std::pair(-literals, p.pattern);
  });
}

void Built::issuers(const Model& m) {
  take(requests_, t_.requests);
  for (const IssueEntry& e : m.requests)
    requests_.push_back({{e.id, e.provider, strings(e.kinds)}, strings(e.hosts), strings(e.paths)});
  take(issuers_, t_.issuers);
  for (const IssuerEntry& e : m.issuers) {
    std::vector<std::uint16_t> requests;
    for (const std::string& id : e.requests) {
      const auto at =
          std::ranges::find(requests_, std::string_view(id), [](const tables::Request& r) { return r.is.id; });
      requests.push_back(index(static_cast<std::size_t>(at - requests_.begin())));
    }
    std::vector<tables::Action>& actions = actions_.emplace_back();
    for (const ActionEntry& a : e.actions)
      actions.push_back({strings(a.takes), strings(a.gives), a.seldom});
    issuers_.push_back({e.id, indices(std::move(requests)), actions, e.whoami, e.hands_out_others});
  }
}

std::uint16_t Built::accept(const AcceptEntry& e) {
  std::vector<std::uint16_t> issuers;
  for (const std::string& id : e.issuers) {
    const auto at = std::ranges::find(issuers_, std::string_view(id), &tables::Issuer::id);
    issuers.push_back(index(static_cast<std::size_t>(at - issuers_.begin())));
  }
  accepts_.push_back({strings(e.kinds), indices(std::move(issuers)), e.anonymous, e.open});
  return index(accepts_.size() - 1);
}

void Built::accepts(const Model& m) {
  take(accepts_, t_.accepts);
  take(services_, t_.services);
  for (const ServiceEntry& e : m.services)
    services_.push_back({e.provider, e.service, e.host_regex, accept(e.accept)});
  take(bindings_, t_.bindings);
  for (const BindingEntry& e : m.bindings)
    bindings_.push_back(
        {e.id, e.provider, e.service, strings(e.schemes), strings(e.names), strings(e.selectors), accept(e.accept)});
  take(ports_, t_.ports);
  for (const PortEntry& e : m.ports)
    ports_.push_back({e.port, e.provider, e.service, accept(e.accept)});
  for (const RuleEntry& e : m.rules) {
    const std::uint16_t at = accept(e.accept);
    for (const std::string& id : e.endpoints)
      rules_[id] = {at, e.by_service};
  }
}

void Built::hosts(const Model& m) {
  take(hosts_, t_.hosts);
  take(domains_, t_.domains);
  for (const EndpointEntry& e : m.endpoints) {
    const std::uint16_t host = index(hosts_.size());
    const auto rule = rules_.find(e.id);
    const auto [at, by_service] = rule == rules_.end() ? std::pair(tables::kNone, false) : rule->second;
    hosts_.push_back({e.id, e.provider, e.service, e.region, e.region_default, e.regex, at, by_service});
    for (const std::string& name : e.exact)
      domains_.push_back({name, tables::How::kExact, host});
    for (const std::string& name : e.suffix)
      domains_.push_back({name, tables::How::kSuffix, host});
    for (const std::string& name : e.domains)
      domains_.push_back({name, tables::How::kRegex, host});
  }
  std::ranges::sort(domains_, {}, [](const tables::Domain& d) { return std::tuple(d.domain, d.host, d.how); });
}

void Built::metadata(const Model& m) {
  take(metadata_, t_.metadata);
  for (const MetadataEntry& e : m.metadata)
    metadata_.push_back(
        {e.id, e.provider, first(e.kinds), strings(e.addresses), strings(e.hosts), strings(e.paths), e.role, e.step});
}

void Built::ranges(const Model& m) {
  take(ranges_, t_.ranges);
  for (const RangesEntry& e : m.ranges)
    ranges_.push_back({e.provider, e.date, e.whole, strings(e.blocks)});
}

void Built::sockets(const Model& m) {
  take(sockets_, t_.sockets);
  for (const SocketEntry& e : m.sockets) {
    for (const std::string& path : e.paths)
      sockets_.push_back({path, {e.use, e.id, first(e.kinds)}});
  }
}

void Built::programs(const Model& m) {
  take(installed_, t_.installed);
  installed_.insert(installed_.end(), m.installed.begin(), m.installed.end());
  take(programs_, t_.programs);
  take(program_names_, t_.program_names);
  take(program_folders_, t_.program_folders);
  for (const ProgramEntry& e : m.programs) {
    if (!e.arguments.empty()) continue;  // its name alone says nothing
    for (const std::string& name : e.names)
      program_names_.push_back({name, e.script, index(programs_.size())});
    for (const std::string& folder : e.folders)
      program_folders_.push_back({folder, index(programs_.size())});
    programs_.push_back({e.id, e.obeys_selectors, e.runtime, e.relay, e.hub, e.bulk_reader, e.helper, e.ends_tls,
                         e.adds_key, strings(e.kinds), e.late_key, strings(e.own), e.environment});
  }
  take(roles_, t_.roles);
  for (const RoleEntry& e : m.roles)
    roles_.push_back({{e.id, e.role, e.title, strings(e.own)}, strings(e.names), strings(e.inside)});
  take(readers_, t_.readers);
  for (const ReaderEntry& e : m.readers)
    readers_.push_back({e.id, e.role, strings(e.names), strings(e.folders), strings(e.reads)});
}

void Built::selectors(const Model& m) {
  take(selectors_, t_.selectors);
  for (const SelectorEntry& e : m.selectors) {
    std::vector<Selector::Step>& steps = steps_.emplace_back();
    for (const StepEntry& step : e.steps)
      steps.push_back({step.by, step.name});
    selectors_.push_back({e.id, steps, e.host_binds});
  }
  std::ranges::sort(selectors_, {}, &tables::SelectorData::id);
}

void Built::formats(const Model& m) {
  take(formats_, t_.formats);
  for (const FormatEntry& e : m.formats)
    formats_.push_back({{e.id, e.provider, first(e.kinds), e.public_id, e.weak}, e.regex});
}

void Built::lines(const Model& m, bool site) {
  take(lines_, t_.lines);
  for (ListedLine& line : lines_of(m)) {
    if (site) line = {line.section, line.id, "of this site (catalog.d)", "site"};
    lines_.push_back({line.section, line.id, owned(std::move(line.text)), owned(std::move(line.verified))});
  }
}

/// Nothing is added any more: the tables look at what was made.
void Built::point() {
  t_ = Tables{.kinds = kinds_,
              .files = files_,
              .patterns = patterns_,
              .exact_leaves = leaves_,
              .wild_heads = heads_,
              .file_flags = flags_,
              .file_options = options_,
              .env = env_,
              .exact_env = t_.exact_env,
              .env_patterns = env_patterns_,
              .requests = requests_,
              .issuers = issuers_,
              .services = services_,
              .bindings = bindings_,
              .ports = ports_,
              .accepts = accepts_,
              .hosts = hosts_,
              .domains = domains_,
              .metadata = metadata_,
              .ranges = ranges_,
              .sockets = sockets_,
              .installed = installed_,
              .programs = programs_,
              .program_names = program_names_,
              .program_folders = program_folders_,
              .roles = roles_,
              .readers = readers_,
              .selectors = selectors_,
              .formats = formats_,
              .lines = lines_};
}

}  // namespace keytrail::catalog::source
