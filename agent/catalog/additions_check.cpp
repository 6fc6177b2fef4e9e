// SPDX-License-Identifier: Apache-2.0
#include "agent/catalog/additions_check.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "agent/catalog/fields.h"
#include "agent/catalog/tables.h"

namespace keytrail::catalog {
namespace {

using source::Problems;

constexpr std::size_t kMostEntries = 2000;  ///< in one section
constexpr std::size_t kMostPaths = 20'000;  ///< indices into the merged tables have 16 bits
constexpr std::size_t kMostExpressions = 64;
constexpr std::size_t kLongestExpression = 500;
constexpr std::size_t kLongestPath = 1024;
constexpr std::size_t kLongestText = 80;

void say(Problems& problems, const source::Where& where, const std::string& what) {
  problems.push_back(where.file + ":" + std::to_string(where.line) + ": " + what);
}

bool is_id(const std::string& id) {
  return !id.empty() && id.size() <= 64 && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

/// The components of a pattern, as written.
std::vector<std::string_view> parts_of(std::string_view pattern) {
  std::vector<std::string_view> out;
  while (!pattern.empty()) {
    const std::size_t slash = pattern.find('/');
    out.push_back(pattern.substr(0, slash));
    pattern.remove_prefix(slash == std::string_view::npos ? pattern.size() : slash + 1);
  }
  return out;
}

void check_path(const source::FileEntry& e, const std::string& path, Problems& problems) {
  const std::vector<std::string_view> parts = parts_of(path);
  if (path.size() > kLongestPath) say(problems, e.where, "`" + e.id + "`: a path has 1024 bytes at most");
  if (std::ranges::find(parts, "..") != parts.end() || std::ranges::find(parts, ".") != parts.end()) {
    say(problems, e.where,
        "`" + e.id + "`: `" + path + "` has a `.` or `..`; write the path as the kernel names the file");
  }
  // Each "**" multiplies the ways in which a long path can fail to fit.
  if (std::ranges::count(parts, "**") > 2)
    say(problems, e.where, "`" + e.id + "`: `" + path + "` has more than two `**`");
  if (std::ranges::any_of(path, [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
    say(problems, e.where, "`" + e.id + "`: a path holds no control characters");
  for (const std::string_view kernel : {"proc", "sys", "dev"}) {
    if (parts.size() > 1 && parts[0].empty() && parts[1] == kernel) {
      say(problems, e.where, "`" + e.id + "`: `" + path + "` is no regular file on a disk; only such files are opened");
    }
  }
}

template <typename Entries>
void check_ids(const Entries& entries, Problems& problems) {
  for (const auto& e : entries) {
    if (!is_id(e.id)) say(problems, e.where, "an id has 1 to 64 of a-z, 0-9, '.', '_', '-'");
  }
}

/// What stands in rows and answers is short.
void check_texts(const source::Model& m, Problems& problems) {
  const auto check = [&](const source::Where& where, const char* key, const std::string& text) {
    if (text.size() > kLongestText) say(problems, where, std::string("`") + key + "` has 80 bytes at most");
  };
  for (const source::KindEntry& e : m.kinds) {
    check(e.where, "title", e.title);
    check(e.where, "provider", e.provider);
  }
  for (const source::FileEntry& e : m.files)
    check(e.where, "provider", e.provider);
  for (const source::EndpointEntry& e : m.endpoints) {
    check(e.where, "provider", e.provider);
    check(e.where, "service", e.service);
    check(e.where, "region", e.region);
    check(e.where, "region_default", e.region_default);
  }
}

/// "com" or "local" would be everybody's.
void check_host(const source::EndpointEntry& e, Problems& problems) {
  for (const auto* list : {&e.suffix, &e.domains}) {
    for (const std::string& host : *list) {
      if (host.contains('.')) continue;
      say(problems, e.where,
          std::string("`").append(e.id).append("`: `").append(host).append("` is too wide; name a host below it"));
    }
  }
}

}  // namespace

void check_bounds(const source::Model& m, Problems& problems) {
  const auto count = [&](const auto& entries, const char* section) {
    if (entries.size() > kMostEntries)
      say(problems, entries.back().where, std::string("more than 2000 entries in `") + section + "`");
  };
  count(m.kinds, "kinds");
  count(m.files, "files");
  count(m.endpoints, "endpoints");
  count(m.rules, "rules");
  count(m.sockets, "sockets");
  count(m.programs, "programs");
  count(m.readers, "readers");
  std::size_t paths = 0;
  for (const source::FileEntry& e : m.files)
    paths += e.paths.size() + e.exclusions.size();
  for (const source::SocketEntry& e : m.sockets)
    paths += e.paths.size();
  for (const source::ProgramEntry& e : m.programs)
    paths += e.names.size();
  for (const source::ReaderEntry& e : m.readers)
    paths += e.names.size() + e.folders.size() + e.reads.size();
  std::size_t expressions = 0;
  for (const source::EndpointEntry& e : m.endpoints) {
    paths += e.exact.size() + e.suffix.size() + e.domains.size();
    if (e.regex.empty()) continue;
    if (e.regex.size() > kLongestExpression)
      say(problems, e.where, "`" + e.id + "`: an expression has 500 characters at most");
    if (++expressions == kMostExpressions + 1)
      say(problems, e.where, "more than 64 expressions; use `exact` and `suffix`");
  }
  if (paths > kMostPaths) problems.emplace_back("catalog.d: more than 20000 paths, hosts and names");
}

void check_scope(const source::Model& m, Problems& problems) {
  constexpr std::string_view kHint =
      " cannot be added here; additions hold kinds, files, endpoints, rules, sockets, programs and readers";
  const auto refuse = [&](const auto& entries, const char* section) {
    if (!entries.empty())
      say(problems, entries.front().where, "section `" + std::string(section) + "`" + std::string(kHint));
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
  refuse(m.arguments, "arguments");
  refuse(m.carried, "carried");
  refuse(m.ranges, "ranges");
  refuse(m.roles, "roles");
  refuse(m.interpreters, "interpreters");
  if (!m.installed.empty()) problems.push_back("catalog.d: section `installed`" + std::string(kHint));
  for (const source::FileEntry& e : m.files) {
    if (!e.flags.empty())
      say(problems, e.where, "`" + e.id + "`: `flags` cannot be added here; name the file in `paths`");
    if (!e.options.empty()) say(problems, e.where, "`" + e.id + "`: `options` are the built-in catalog's alone");
    if (e.by_content) say(problems, e.where, "`" + e.id + "`: `by_content` is the built-in catalog's alone");
  }
  check_ids(m.kinds, problems);
  check_ids(m.files, problems);
  check_ids(m.endpoints, problems);
  check_ids(m.sockets, problems);
  check_ids(m.programs, problems);
  check_ids(m.readers, problems);
  check_texts(m, problems);
  for (const source::ProgramEntry& e : m.programs) {
    if (e.obeys_selectors || e.helper || e.late_key)
      say(problems, e.where,
          "`" + e.id + "`: obeys_selectors, helper and late_key raise evidence; only the built-in catalog sets them");
  }
  std::set<std::string_view> formats;  // what the examiner can read is what the built-in places use
  for (const File& file : tables::kTables.files)
    if (!file.format.empty()) formats.insert(file.format);
  const std::vector<std::string_view> known(formats.begin(), formats.end());
  for (const source::FileEntry& e : m.files) {
    if (!e.format.empty() && !formats.contains(e.format)) {
      say(problems, e.where,
          "`" + e.id + "`: format `" + e.format + "`" + source::did_you_mean(e.format, known) +
              " is not one of: " + source::join(known));
    }
    for (const auto* list : {&e.paths, &e.exclusions}) {
      for (const std::string& path : *list)
        check_path(e, path, problems);
    }
  }
  for (const source::EndpointEntry& e : m.endpoints)
    check_host(e, problems);
  for (const source::RuleEntry& e : m.rules) {
    if (e.by_service) say(problems, e.where, "`by_service` is for the built-in catalog; name the kinds here");
  }
}

void check_contradictions(const source::Model& m, Problems& problems) {
  const Catalog& builtin = Catalog::builtin();
  std::map<std::string_view, const source::EndpointEntry*> hosts;
  for (const source::EndpointEntry& e : m.endpoints) {
    for (const auto* list : {&e.exact, &e.suffix}) {
      for (const std::string& host : *list) {
        const auto [other, fresh] = hosts.emplace(host, &e);
        if (!fresh) say(problems, e.where, "`" + host + "` already belongs to `" + other->second->id + "`");
        const auto known = builtin.match_host(host);
        if (!known) continue;
        say(problems, e.where,
            "`" + host + "` is already " + std::string(known->provider) + "/" + known->service + " (`" +
                std::string(known->id) + "`); remove it here");
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
  std::map<std::vector<std::string>, std::string_view> places;
  for (const tables::FilePattern& pattern : tables::kTables.patterns) {
    if (pattern.exclusion) continue;
    std::vector<std::string> key(pattern.segments.begin(), pattern.segments.end());
    key.emplace_back(pattern.home ? "~" : "/");
    places.emplace(std::move(key), tables::kTables.files[pattern.file].id);
  }
  for (const source::FileEntry& e : m.files) {
    for (const std::string& path : e.paths) {
      auto cut = source::cut_pattern(path);
      if (!cut) continue;
      cut->segments.emplace_back(cut->home ? "~" : "/");
      const auto [other, fresh] = places.emplace(cut->segments, e.id);
      if (!fresh)
        say(problems, e.where,
            "`" + path + "` is already the place of `" + std::string(other->second) + "`; remove it here");
    }
  }
}

}  // namespace keytrail::catalog
