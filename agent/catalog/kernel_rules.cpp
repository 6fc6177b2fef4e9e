// SPDX-License-Identifier: Apache-2.0
// Derives the kernel side's filter from the entries: file names from the last component of path patterns, variables,
// flags, argument formats.
#include "agent/catalog/kernel_rules.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

namespace keytrail::catalog::source {
namespace {

/// Endings that half of all files have: a rule on them would send every configuration file to user space.
constexpr std::array<std::string_view, 12> kCommonEndings = {".json", ".conf", ".yaml", ".yml", ".toml", ".cfg",
                                                             ".xml",  ".hcl",  ".txt",  ".db",  ".pub",  ".jsonl"};
/// Names that every system opens all the time for another reason (/etc/passwd, /etc/hosts, core.py): the rule on the
/// directory serves them.
constexpr std::array<std::string_view, 4> kCommonNames = {"passwd", "hosts", "core.", "cache_"};
constexpr std::size_t kShortestPart = 3;

bool wild(std::string_view text) { return text.find_first_of("*?") != std::string_view::npos; }

/// A rule on the last component, or nothing when its literal parts say too little.
std::optional<NameRule> name_rule(const std::string& leaf) {
  const auto common = [](const std::string& text) {
    return std::ranges::find(kCommonNames, text) != kCommonNames.end();
  };
  if (!wild(leaf)) return common(leaf) ? std::nullopt : std::optional(NameRule{NamePattern::Match::kExact, leaf});
  std::string prefix = leaf.substr(0, leaf.find_first_of("*?"));
  if (common(prefix)) prefix.clear();
  std::string suffix = leaf.substr(leaf.find_last_of("*?") + 1);
  if (std::ranges::find(kCommonEndings, suffix) != kCommonEndings.end()) suffix.clear();
  if (prefix.size() >= suffix.size() && prefix.size() >= kShortestPart)
    return NameRule{NamePattern::Match::kPrefix, prefix};
  if (suffix.size() >= kShortestPart) return NameRule{NamePattern::Match::kSuffix, suffix};
  return std::nullopt;
}

/// The nearest directory with a plain name above the last component; empty when there is none.
std::string directory(const CutPattern& cut) {
  for (std::size_t i = cut.segments.size() - 1; i-- > 0;) {
    if (!wild(cut.segments[i])) return cut.segments[i];
  }
  return {};
}

void file_rules(const Model& model, KernelRules& out) {
  std::set<NameRule> names;
  std::set<NameRule> directories;
  std::set<std::string> places;
  for (const FileEntry& entry : model.files) {
    if (entry.kinds.empty()) continue;
    for (const std::string& path : entry.paths) {
      if (!entry.format.empty() && !wild(path) && (path.starts_with("~/") || path.starts_with('/')))
        places.insert(path);
      const std::optional<CutPattern> cut = cut_pattern(path);
      if (!cut) continue;
      if (const auto rule = name_rule(cut->segments.back())) {
        names.insert(*rule);
        continue;
      }
      out.free_names.push_back(entry.id + " " + path);
      const std::string parent = directory(*cut);
      if (!parent.empty()) directories.insert({NamePattern::Match::kExact, parent});
    }
  }
  out.names.assign(names.begin(), names.end());
  out.directories.assign(directories.begin(), directories.end());
  out.places.assign(places.begin(), places.end());
}

/// Whether any kind of key behind the variable can be guessed: then its fingerprint could be, too.
bool guessable(const EnvEntry& entry, const std::map<std::string, const KindEntry*>& kinds) {
  return std::ranges::any_of(entry.kinds, [&](const std::string& id) {
    const auto found = kinds.find(id);
    return found == kinds.end() || found->second->guessable;
  });
}

EnvRule rule_of(const EnvEntry& entry, const std::map<std::string, const KindEntry*>& kinds) {
  EnvRule rule{.name = entry.name, .kind = entry.kinds.empty() ? std::string() : entry.kinds.front()};
  if (entry.use == EnvUse::kPointer) {
    rule.action = EnvAction::kShowAndWatchBaseName;
  } else if (entry.use == EnvUse::kSecret || !entry.show) {
    rule.action = EnvAction::kSecret;
    rule.unhashed = entry.use != EnvUse::kSecret || guessable(entry, kinds);
    rule.url = entry.url();
  }
  return rule;
}

void env_rules(const Model& model, KernelRules& out) {
  std::map<std::string, const KindEntry*> kinds;
  for (const KindEntry& kind : model.kinds)
    kinds.emplace(kind.id, &kind);
  std::map<std::pair<std::string, int>, EnvRule> rules;
  for (const EnvEntry& entry : model.env) {
    EnvRule rule = rule_of(entry, kinds);
    const std::size_t star = entry.name.find('*');
    if (star == 0) {
      rule.suffix = true;
      rule.name = entry.name.substr(1);
    } else if (star != std::string::npos) {
      // A star inside: the part before it is the rule, user space looks at the rest.
      rule.prefix = true;
      rule.name = entry.name.substr(0, star);
    }
    if (rule.name.contains('*') || rule.name.empty()) continue;
    const auto [place, fresh] = rules.emplace(std::pair{rule.name, rule.prefix ? 1 : (rule.suffix ? 2 : 0)}, rule);
    if (!fresh && (rule.action != place->second.action || rule.unhashed != place->second.unhashed)) {
      // Two patterns share a prefix: the one that lets less out decides.
      place->second.action = EnvAction::kSecret;
      place->second.unhashed = true;
    }
    place->second.url = place->second.url || rule.url;
  }
  for (const auto& [key, rule] : rules)
    out.env.push_back(rule);
}

/// The bit of a program, a new one when it has none yet; check() refuses more than there are.
std::uint32_t program_bit(const std::string& program, std::vector<std::string>& programs) {
  const auto found = std::ranges::find(programs, program);
  const auto bit = static_cast<std::uint32_t>(found - programs.begin());
  if (found == programs.end()) programs.push_back(program);
  return 1U << bit;
}

void flag_rules(const Model& model, KernelRules& out) {
  std::map<std::string, FlagRule> flags;
  for (const SelectorEntry& entry : model.selectors) {
    for (const StepEntry& step : entry.steps) {
      if (!step.name.starts_with('-')) continue;
      FlagAction& action = flags[step.name].action;
      const bool chooses = step.by == Selector::Step::By::kArgument;
      action = chooses && action != FlagAction::kPresence ? FlagAction::kHash : FlagAction::kPresence;
    }
  }
  for (const FileEntry& entry : model.files) {
    for (const std::string& text : entry.flags) {
      const auto [program, flag] = program_and_flag(text);
      flags[flag].path_of |= program.empty() ? kAnyProgram : program_bit(program, out.programs);
    }
  }
  for (auto& [flag, rule] : flags) {
    rule.flag = flag;
    out.flags.push_back(std::move(rule));
  }
}

}  // namespace

KernelRules kernel_rules(const Model& model) {
  KernelRules out;
  file_rules(model, out);
  env_rules(model, out);
  flag_rules(model, out);
  for (const FormatEntry& entry : model.formats) {
    if (entry.has_argument) out.formats.push_back(&entry);
  }
  for (const ArgumentsEntry& entry : model.arguments)
    out.arguments.push_back(&entry);
  for (const InterpreterEntry& entry : model.interpreters)
    out.interpreters.push_back(&entry);
  for (const CarriedEntry& entry : model.carried)
    out.carried.push_back(&entry);
  std::ranges::sort(out.carried, {}, &CarriedEntry::name);
  // The kernel side finds them by their first byte; within one, the order of the file decides, which is that in memory.
  std::ranges::sort(out.formats, {},
                    [](const FormatEntry* e) { return std::pair(static_cast<unsigned char>(e->prefix[0]), e); });
  return out;
}

}  // namespace keytrail::catalog::source
