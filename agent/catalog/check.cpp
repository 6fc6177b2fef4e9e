// SPDX-License-Identifier: Apache-2.0
// What must hold between the entries of the catalog: ids are unique, every reference points at something, expressions
// compile. Any thread.
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

#include "agent/catalog/fields.h"
#include "agent/catalog/glob.h"
#include "agent/catalog/source.h"
#include "agent/catalog/tables.h"

namespace keytrail::catalog::source {
namespace {

/// One name space: where each id was first written.
class Ids {
 public:
  Ids(std::string what, Problems& problems) : what_(std::move(what)), problems_(problems) {}

  void base(const std::string& id) { known_.insert(id); }

  void add(const std::string& id, const Where& where) {
    if (known_.contains(id) && !places_.contains(id)) {
      problems_.push_back(at(where) + what_ + " `" + id +
                          "` is already part of the built-in catalog; choose another id");
      return;
    }
    const auto [place, fresh] = places_.emplace(id, where);
    known_.insert(id);
    if (!fresh) {
      problems_.push_back(at(where) + what_ + " `" + id + "` was already defined at " + place->second.file + ":" +
                          std::to_string(place->second.line));
    }
  }

  void need(const std::string& id, const Where& where, const std::string& by) const {
    if (id.empty() || known_.contains(id) || problems_.size() >= kMaxProblems) return;
    problems_.push_back(at(where) + by + " names the " + what_ + " `" + id + "`, which does not exist" + hint(id));
  }

  [[nodiscard]] bool any(const std::string& pattern) const {
    return std::ranges::any_of(known_, [&](const std::string& id) { return glob(pattern, id); });
  }

  static std::string at(const Where& where) { return where.file + ":" + std::to_string(where.line) + ": "; }

 private:
  /// The nearest known id, else the one with the longest common start, as a hint for a typing error.
  [[nodiscard]] std::string hint(const std::string& id) const {
    if (std::string near = did_you_mean(id, {known_.begin(), known_.end()}); !near.empty()) return near;
    std::string best;
    std::size_t length = 2;
    for (const std::string& known : known_) {
      const auto common = static_cast<std::size_t>(std::ranges::mismatch(id, known).in1 - id.begin());
      if (common > length) {
        length = common;
        best = known;
      }
    }
    return best.empty() ? "" : " (did you mean `" + best + "`?)";
  }

  std::string what_;
  Problems& problems_;
  std::set<std::string> known_;
  std::map<std::string, Where> places_;
};

struct Spaces {
  explicit Spaces(Problems& p)
      : kinds("kind", p),
        files("file entry", p),
        env("variable", p),
        endpoints("endpoint", p),
        issuers("issuer", p),
        bindings("binding", p),
        selectors("selector", p),
        metadata("metadata entry", p),
        ranges("address ranges of", p),
        sockets("socket entry", p),
        programs("program", p),
        arguments("arguments entry", p),
        carried("header or field", p),
        formats("format", p),
        proofs("proof", p),
        requests("request", p),
        commands("command", p),
        brokers("broker", p),
        readers("reader", p) {}
  Ids kinds, files, env, endpoints, issuers, bindings, selectors, metadata, ranges, sockets, programs, arguments,
      carried, formats, proofs, requests, commands, brokers, readers;
  [[nodiscard]] std::array<const Ids*, 6> places() const {
    return {&files, &requests, &metadata, &sockets, &commands, &brokers};
  }
};

void collect(const Model& m, Spaces& s, bool base) {
  const auto add = [base](Ids& ids, const std::string& id, const Where& where) {
    if (base) {
      ids.base(id);
    } else {
      ids.add(id, where);
    }
  };
  for (const auto& e : m.kinds)
    add(s.kinds, e.id, e.where);
  for (const auto& e : m.files)
    add(s.files, e.id, e.where);
  for (const auto& e : m.env)
    add(s.env, e.name, e.where);
  for (const auto& e : m.endpoints)
    add(s.endpoints, e.id, e.where);
  for (const auto& e : m.issuers)
    add(s.issuers, e.id, e.where);
  for (const auto& e : m.bindings)
    add(s.bindings, e.id, e.where);
  for (const auto& e : m.selectors)
    add(s.selectors, e.id, e.where);
  for (const auto& e : m.metadata)
    add(s.metadata, e.id, e.where);
  for (const auto& e : m.ranges)
    add(s.ranges, e.provider, e.where);
  for (const auto& e : m.sockets)
    add(s.sockets, e.id, e.where);
  for (const auto& e : m.programs)
    add(s.programs, e.id, e.where);
  for (const auto& e : m.roles)
    add(s.programs, e.id, e.where);
  for (const auto& e : m.interpreters)
    add(s.programs, e.id, e.where);
  for (const auto& e : m.arguments)
    add(s.arguments, e.id, e.where);
  for (const auto& e : m.carried)
    add(s.carried, e.name, e.where);
  for (const auto& e : m.formats)
    add(s.formats, e.id, e.where);
  for (const auto& e : m.proofs)
    add(s.proofs, e.id, e.where);
  for (const auto& e : m.requests)
    add(s.requests, e.id, e.where);
  for (const auto& e : m.commands)
    add(s.commands, e.id, e.where);
  for (const auto& e : m.brokers)
    add(s.brokers, e.id, e.where);
  for (const auto& e : m.readers)
    add(s.readers, e.id, e.where);
}

class Checker {
 public:
  Checker(const Spaces& s, Problems& problems) : s_(s), problems_(problems) {}

  void kinds(const std::vector<std::string>& ids, const Where& where, const std::string& by) const {
    for (const std::string& id : ids)
      s_.kinds.need(id, where, by);
  }

  void accept(const AcceptEntry& a, const Where& where, const std::string& by) const {
    kinds(a.kinds, where, by);
    for (const std::string& id : a.issuers)
      s_.issuers.need(id, where, by);
  }

  void regex(const std::string& text, const Where& where, const std::string& by) const {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(tables::kMaxRegexMemory);
    const RE2 compiled(text, options);
    if (!compiled.ok()) problem(where, by + ": the expression does not compile: " + compiled.error());
  }

  void paths(const std::vector<std::string>& patterns, const Where& where, const std::string& by) const {
    for (const std::string& pattern : patterns) {
      const std::optional<CutPattern> cut = cut_pattern(pattern);
      if (!cut) {
        problem(where, std::string(by).append(": `").append(pattern).append(
                           "` must start with /, ~/ or **/ and name something below it"));
      } else if (std::ranges::all_of(cut->segments, [](const std::string& part) {
                   return part.find_first_not_of("*?.") == std::string::npos;
                 })) {
        problem(where, std::string(by).append(": `").append(pattern).append(
                           "` would be every file; name at least one directory or file"));
      }
    }
  }

  void problem(const Where& where, const std::string& what) const { problems_.push_back(Ids::at(where) + what); }

 private:
  const Spaces& s_;
  Problems& problems_;
};

bool is_host_text(const std::string& text) {
  return !text.empty() && text.front() != '.' && text.back() != '.' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
}

void check_endpoint(const EndpointEntry& e, const Checker& c) {
  const int forms = (e.exact.empty() ? 0 : 1) + (e.suffix.empty() ? 0 : 1) + (e.regex.empty() ? 0 : 1);
  if (forms != 1) c.problem(e.where, "`" + e.id + "` needs exactly one of: exact, suffix, regex");
  for (const auto* list : {&e.exact, &e.suffix, &e.domains}) {
    for (const std::string& host : *list) {
      if (!is_host_text(host)) c.problem(e.where, "`" + e.id + "`: `" + host + "` is no lower-case host name");
    }
  }
  if (e.regex.empty()) {
    if (e.service.empty()) c.problem(e.where, "`" + e.id + "` needs a service");
    return;
  }
  if (e.domains.empty())
    c.problem(e.where, "`" + e.id + "`: an expression needs `domains`, the host endings below which it is tried");
  c.regex(e.regex, e.where, "`" + e.id + "`");
  if (e.service.empty() && !e.regex.contains("(?P<service>")) {
    c.problem(e.where, "`" + e.id + "` has neither a service nor a group (?P<service>…)");
  }
}

/// A flag whose value is a secret: a hash of it must not leave the kernel side.
bool gives_a_key(std::string_view flag) {
  return std::ranges::any_of(
      std::array<std::string_view, 6>{"password", "token", "secret", "api-key", "access-key", "-url"},
      [&](std::string_view word) { return flag.contains(word); });
}

/// "--kubeconfig" or "ssh -i", each of one entry only; the kernel side knows a program by the 15 characters of its
/// thread's name.
void check_flags(const Model& m, const Checker& c) {
  std::map<std::string, std::string> owners;
  std::set<std::string> programs;
  for (const FileEntry& e : m.files) {
    for (const std::string& text : e.flags) {
      const auto [program, flag] = program_and_flag(text);
      if (!flag.starts_with('-') || flag.contains('=') || program.size() > 15)
        c.problem(e.where, "`" + e.id + "`: `" + text +
                               "` must be a flag, or the name of a program (15 characters at most) and a flag");
      if (e.format.empty()) c.problem(e.where, "`" + e.id + "` has `flags`, but no `format`");
      if (!program.empty() && programs.insert(program).second && programs.size() == kMostFlagPrograms + 1)
        c.problem(e.where, "more than 30 programs have flags of their own");
      const auto [place, fresh] = owners.emplace(text, e.id);
      if (!fresh) c.problem(e.where, "`" + e.id + "`: `" + text + "` is a flag of `" + place->second + "` already");
    }
  }
}

/// "kubeconfig tokenFile": each of one entry only, in files that there are.
void check_options(const Model& m, const Checker& c) {
  std::map<std::string, std::string> owners;
  for (const FileEntry& e : m.files) {
    for (const std::string& text : e.options) {
      const auto [of, option] = program_and_flag(text);
      const bool known =
          std::ranges::any_of(m.files, [&](const FileEntry& one) { return one.id == of || one.format == of; });
      if (of.empty() || !known)
        c.problem(e.where, "`" + e.id + "`: `" + text + "` must be a format or an entry, and an option of its files");
      if (e.format.empty()) c.problem(e.where, "`" + e.id + "` has `options`, but no `format`");
      const auto [place, fresh] = owners.emplace(text, e.id);
      if (!fresh) c.problem(e.where, "`" + e.id + "`: `" + text + "` is an option of `" + place->second + "` already");
    }
  }
}

/// What nothing leads to, and what leads nowhere.
void check_dead(const Model& m, const Checker& c) {
  for (const EnvEntry& e : m.env) {
    if (e.use == EnvUse::kDestination && e.binding.empty())
      c.problem(e.where, "`" + e.name + "` names a destination: say which in `binding`, or that it is a setting");
    if (e.use == EnvUse::kPointer && e.file.empty())
      c.problem(e.where, "`" + e.name + "` is the path of a key file: say in `file` which entry that is");
  }
  for (const FileEntry& e : m.files) {
    const bool pointed = std::ranges::any_of(m.env, [&](const EnvEntry& one) { return one.file == e.id; });
    if (e.paths.empty() && e.flags.empty() && e.options.empty() && !pointed)
      c.problem(e.where, "`" + e.id + "` needs `paths`, or a variable, flag or option that leads to it");
  }
  for (const BindingEntry& e : m.bindings) {
    const bool named = std::ranges::any_of(m.env, [&](const EnvEntry& one) { return one.binding == e.id; });
    if (!named && e.schemes.empty() && e.names.empty() && e.selectors.empty())
      c.problem(e.where, "`" + e.id + "` is named by no variable, scheme, host or selector");
  }
}

template <typename Entry>
void check_names(const Entry& e, const Checker& c) {
  for (const std::string& name : e.names) {
    const std::size_t star = name.find('*');
    if (name.empty() || name.contains('/') || (star != std::string::npos && star + 1 != name.size()) || name == "*") {
      c.problem(e.where,
                "`" + e.id + "`: `" + name + "` must be the name of an executable, with '*' at its end at most");
    }
  }
  for (const std::string& folder : e.folders) {
    if (folder.size() < 5 || !folder.starts_with('/') || folder.ends_with('/') ||
        folder.find_first_of("*?") != std::string::npos)
      c.problem(e.where, "`" + e.id + "`: `" + folder + "` must be the path of a folder, without '/' at its end");
  }
}

void check_arguments(const Model& m, const Spaces& s, const Checker& c) {
  for (const ArgumentsEntry& e : m.arguments) {
    const std::string by = "`" + e.id + "`";
    s.kinds.need(e.token, e.where, by);
    s.kinds.need(e.password, e.where, by);
    s.env.need(e.address, e.where, by);
    for (const ArgumentsEntry::Rule& rule : e.rules) {
      // Of words that belong to no flag: all, or the n-th.
      const bool word = rule.flag.find_first_not_of("0123456789") == std::string::npos && !rule.joined;
      if (!word && (!rule.flag.starts_with('-') || rule.flag.contains('=')))
        c.problem(e.where, by + ": `" + rule.flag + "` must be a flag, with `=` behind it where its value is");
    }
  }
  for (const CarriedEntry& e : m.carried) {
    s.kinds.need(e.kind, e.where, "`" + e.name + "`");
    if (std::ranges::any_of(e.name, [](char letter) { return letter >= 'A' && letter <= 'Z'; }))
      c.problem(e.where, "`" + e.name + "` must be in lower case");
  }
}

void check_roles(const Model& m, const Spaces& s, const Checker& c) {
  for (const RoleEntry& e : m.roles) {
    for (const std::string& kind : e.own) {
      if (!s.kinds.any(kind)) c.problem(e.where, "`" + e.id + "`: `" + kind + "` fits no kind");
    }
  }
}

void check_interpreters(const Model& m, const Checker& c) {
  std::set<std::string> names;
  for (const InterpreterEntry& e : m.interpreters) {
    for (const std::string& name : e.names) {
      if (!names.insert(name).second) c.problem(e.where, "`" + e.id + "`: `" + name + "` is another's already");
    }
  }
  if (m.interpreters.size() > kMostInterpreters) c.problem(m.interpreters.back().where, "more than 16 interpreters");
}

/// Everything that a reader may read, so that a pattern that fits nothing is found.
void check_readers(const Model& m, const Spaces& s, const Checker& c) {
  for (const ReaderEntry& e : m.readers) {
    check_names(e, c);
    for (const std::string& pattern : e.reads) {
      if (std::ranges::none_of(s.places(), [&](const Ids* ids) { return ids->any(pattern); }))
        c.problem(e.where, "`" + e.id + "`: `" + pattern +
                               "` fits no entry of files, requests, metadata, sockets, commands or brokers");
    }
  }
}

}  // namespace

void check(const Model& m, const Model* base, Problems& problems) {
  Spaces s(problems);
  if (base != nullptr) collect(*base, s, true);
  collect(m, s, false);
  const Checker c(s, problems);
  for (const FileEntry& e : m.files) {
    c.kinds(e.kinds, e.where, "`" + e.id + "`");
    s.selectors.need(e.selector, e.where, "`" + e.id + "`");
    c.paths(e.paths, e.where, "`" + e.id + "`");
    c.paths(e.exclusions, e.where, "`" + e.id + "`");
  }
  check_flags(m, c);
  check_options(m, c);
  check_dead(m, c);
  for (const EnvEntry& e : m.env) {
    c.kinds(e.kinds, e.where, "`" + e.name + "`");
    s.env.need(e.pair, e.where, "`" + e.name + "`");
    s.files.need(e.file, e.where, "`" + e.name + "`");
    s.bindings.need(e.binding, e.where, "`" + e.name + "`");
  }
  for (const EndpointEntry& e : m.endpoints)
    check_endpoint(e, c);
  for (const KindEntry& e : m.kinds) {
    c.kinds(e.signs, e.where, "`" + e.id + "`");
    for (const std::string& id : e.proofs)
      s.proofs.need(id, e.where, "`" + e.id + "`");
  }
  for (const IssuerEntry& e : m.issuers) {
    for (const std::string& id : e.requests)
      s.requests.need(id, e.where, "`" + e.id + "`");
    for (const ActionEntry& a : e.actions) {
      c.kinds(a.takes, e.where, "`" + e.id + "`");
      c.kinds(a.gives, e.where, "`" + e.id + "`");
    }
  }
  std::map<std::string, Where> ruled;
  for (const RuleEntry& e : m.rules) {
    for (const std::string& id : e.endpoints) {
      s.endpoints.need(id, e.where, "rule");
      const auto [place, fresh] = ruled.emplace(id, e.where);
      if (!fresh)
        c.problem(e.where, "endpoint `" + id + "` already has a rule at " + place->second.file + ":" +
                               std::to_string(place->second.line));
    }
    c.accept(e.accept, e.where, "rule");
  }
  for (const ServiceEntry& e : m.services) {
    if (!e.host_regex.empty()) c.regex(e.host_regex, e.where, "`" + e.provider + "/" + e.service + "`");
    c.accept(e.accept, e.where, "`" + e.provider + "/" + e.service + "`");
  }
  for (const BindingEntry& e : m.bindings) {
    for (const std::string& selector : e.selectors)
      s.selectors.need(selector, e.where, "`" + e.id + "`");
    c.accept(e.accept, e.where, "`" + e.id + "`");
  }
  for (const PortEntry& e : m.ports)
    c.accept(e.accept, e.where, "port " + std::to_string(e.port));
  for (const SelectorEntry& e : m.selectors) {
    for (const StepEntry& step : e.steps) {
      if (step.by == Selector::Step::By::kArgument && gives_a_key(step.name)) {
        c.problem(e.where, "`" + e.id + "`: `" + step.name +
                               "` gives a key, it chooses none: use `overridden`, so that its value never leaves");
      }
      const bool variable = step.by == Selector::Step::By::kEnvironment ||
                            (step.by == Selector::Step::By::kOverridden && !step.name.starts_with('-'));
      if (variable) s.env.need(step.name, e.where, "`" + e.id + "`");
    }
  }
  for (const MetadataEntry& e : m.metadata)
    c.kinds(e.kinds, e.where, "`" + e.id + "`");
  for (const SocketEntry& e : m.sockets)
    c.kinds(e.kinds, e.where, "`" + e.id + "`");
  for (const ProgramEntry& e : m.programs) {
    check_names(e, c);
    c.kinds(e.kinds, e.where, "`" + e.id + "`");
  }
  for (const auto* list : {&m.requests, &m.commands, &m.brokers}) {
    for (const IssueEntry& e : *list)
      c.kinds(e.kinds, e.where, "`" + e.id + "`");
  }
  check_readers(m, s, c);
  check_roles(m, s, c);
  check_interpreters(m, c);
  check_arguments(m, s, c);
  for (const FormatEntry& e : m.formats) {
    c.kinds(e.kinds, e.where, "`" + e.id + "`");
    c.regex(e.regex, e.where, "`" + e.id + "`");
  }
}

}  // namespace keytrail::catalog::source
