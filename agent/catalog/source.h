// SPDX-License-Identifier: Apache-2.0
// The catalog as a person writes it: YAML entries with the place they stand in. Read by the build-time tool and, for
// additions, by the worker. Every problem becomes one line "file:line: what is wrong and what to do"; reading goes on
// to find them all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/catalog/catalog.h"

namespace keytrail::catalog::source {

struct Where {
  std::string file;
  int line = 0;  ///< from 1
};

struct KindEntry {
  Where where;
  std::string id, title, provider, public_id, note;
  KeyClass key_class = KeyClass::kAccessKey;
  Lifetime lifetime = Lifetime::kUnknown;
  bool authenticates = true, guessable = false, wildcard = false, audience_decides = false, host_bound = false;
  std::vector<std::string> proofs, signs;
};

/// How a kind shows in a request.
struct ProofEntry {
  Where where;
  std::string id, text, names;
};

struct FileEntry {
  Where where;
  std::string id, provider, format, selector, note, verified;
  std::vector<std::string> kinds, paths, exclusions, unverified;
  /// "--kubeconfig", or of one program only "ssh -i": the value is a path to such a file.
  std::vector<std::string> flags;
  /// "kubeconfig tokenFile": in files of this format, or of the entry of this id, the value of this option is a path to
  /// such a file.
  std::vector<std::string> options;
  bool by_content = false;
};

struct EnvEntry {
  Where where;
  std::string name, provider, pair, file, binding, note, verified;
  EnvUse use = EnvUse::kIdentifier;
  std::vector<std::string> kinds;
  bool show = true;
  bool owner = false;
  bool setting = false;  ///< nothing follows from it: it only says what the name is
  /// The value is a URL or connection string that may hold a key: only its host and port may be shown.
  [[nodiscard]] bool url() const { return !binding.empty() && (use == EnvUse::kSecret || !show); }
};

struct EndpointEntry {
  Where where;
  std::string id, provider, service, region, region_default, regex, api, note, verified;
  std::vector<std::string> exact, suffix, domains, unverified;
};

struct ActionEntry {
  std::string action;
  std::vector<std::string> takes, gives;
  bool seldom = false;
};
struct IssuerEntry {
  Where where;
  std::string id, verified;
  std::vector<std::string> requests;
  std::vector<ActionEntry> actions;
  bool whoami = false;
  bool hands_out_others = false;
};

/// A request (hosts, paths), a command (paths: its words) or a broker (hosts: program names; paths: where it is
/// reached).
struct IssueEntry {
  Where where;
  std::string id, provider, gives, verified;
  std::vector<std::string> kinds, hosts, paths;
};

/// What rules, services, bindings and ports have in common.
struct AcceptEntry {
  std::vector<std::string> kinds, issuers;
  Anonymous anonymous = Anonymous::kNever;
  bool open = false;
};
struct RuleEntry {
  Where where;
  std::vector<std::string> endpoints;
  AcceptEntry accept;
  bool by_service = false;
};
struct ServiceEntry {
  Where where;
  std::string provider, service, host_regex;
  AcceptEntry accept;
};
struct BindingEntry {
  Where where;
  std::string id, provider, service;
  std::vector<std::string> schemes, names, selectors;
  AcceptEntry accept;
};
struct PortEntry {
  Where where;
  std::uint16_t port = 0;
  std::string provider, service;
  AcceptEntry accept;
};

struct StepEntry {
  Selector::Step::By by = Selector::Step::By::kDefault;
  std::string name;
};
struct SelectorEntry {
  Where where;
  std::string id, selects, verified;
  std::vector<StepEntry> steps;
  bool host_binds = false;
};

/// Address ranges that a provider publishes.
struct RangesEntry {
  Where where;
  std::string provider, date, verified;
  bool whole = false;  ///< all of them
  std::vector<std::string> blocks;
};

struct MetadataEntry {
  Where where;
  std::string id, provider, verified;
  std::vector<std::string> kinds, addresses, hosts, paths;
  bool role = false, step = false;
};

struct SocketEntry {
  Where where;
  std::string id, verified;
  SocketUse use = SocketUse::kUnclassified;
  std::vector<std::string> kinds, paths;
};

struct ProgramEntry {
  Where where;
  std::string id, verified;
  std::vector<std::string> names;
  std::vector<std::string> arguments;  ///< what it is only with one of these; then its name alone says nothing
  std::vector<std::string> kinds;      ///< relay: its own keys; hub: what it holds; helper: what it gives
  std::vector<std::string> own;        ///< hub: those of its kinds that are never others'
  bool script = false, obeys_selectors = false, runtime = false, relay = false, hub = false, bulk_reader = false,
       helper = false;
  bool late_key = false, environment = true;
  std::string role;
  Often ends_tls = Often::kSometimes, adds_key = Often::kSometimes;
  std::vector<std::uint16_t> ports;
  std::vector<std::string> folders;  ///< of a bulk reader: its programs by place
  bool from_reader = false;          ///< made by add_bulk_readers()
};

/// What a program is beside what it does with keys.
struct RoleEntry {
  Where where;
  std::string id, title, verified;
  ProgramRole role = ProgramRole::kDistributor;
  std::vector<std::string> names, inside, own;
};

/// An interpreter, and which of the words before its script are its options.
struct InterpreterEntry {
  struct Word {
    std::string word;
    ScriptWord does = ScriptWord::kNone;
  };
  Where where;
  std::string id, verified, letters, next, valued, joined;
  std::vector<std::string> names;
  std::vector<Word> words;
  bool equals = false;
};

/// A program whose arguments may hold keys, and where in them.
struct ArgumentsEntry {
  struct Rule {
    std::string flag;
    ArgUse use = ArgUse::kOther;
    bool joined = false;
  };
  Where where;
  std::string id, command, token, password, address, verified;
  std::vector<std::string> names;
  std::vector<Rule> rules;
};
/// A header or form field that carries one kind of key.
struct CarriedEntry {
  Where where;
  std::string name, kind;
};

struct ReaderEntry {
  Where where;
  std::string id, verified;
  ReaderRole role = ReaderRole::kOwner;
  std::vector<std::string> names, folders, reads;
};

struct FormatEntry {
  Where where;
  std::string id, provider, regex, verified;
  std::vector<std::string> kinds;
  bool public_id = false;
  bool weak = false;  ///< many texts that are no key have this shape
  bool only = false;  ///< no key of its kind looks otherwise
  bool has_argument = false;
  std::string prefix;
  std::uint16_t min_len = 0, max_len = 0;
};

/// All entries of all files read so far.
struct Model {
  std::vector<ProofEntry> proofs;
  std::vector<KindEntry> kinds;
  std::vector<FileEntry> files;
  std::vector<EnvEntry> env;
  std::vector<EndpointEntry> endpoints;
  std::vector<IssuerEntry> issuers;
  std::vector<RuleEntry> rules;
  std::vector<ServiceEntry> services;
  std::vector<BindingEntry> bindings;
  std::vector<PortEntry> ports;
  std::vector<IssueEntry> requests, commands, brokers;
  std::vector<SelectorEntry> selectors;
  std::vector<MetadataEntry> metadata;
  std::vector<RangesEntry> ranges;
  std::vector<SocketEntry> sockets;
  std::vector<ProgramEntry> programs;
  std::vector<RoleEntry> roles;
  std::vector<InterpreterEntry> interpreters;
  std::vector<ReaderEntry> readers;
  std::vector<std::string> installed;
  std::vector<FormatEntry> formats;
  std::vector<ArgumentsEntry> arguments;
  std::vector<CarriedEntry> carried;
};

/// Problems found, each a whole line for a person.
using Problems = std::vector<std::string>;
/// So many are shown at most: a file that is wrong all through says nothing more.
inline constexpr std::size_t kMaxProblems = 100;

/// Adds the entries of one YAML text to `model`. `name` is what problems call the file.
void read_text(const std::string& text, const std::string& name, Model& model, Problems& problems);
/// Adds the entries of the YAML file at `path`; a file that cannot be read is a problem.
void read_file(const std::string& path, Model& model, Problems& problems);
/// Readers that read in bulk (backup, scanner, indexer) become programs, too: after the others, so that a program of
/// its own wins.
void add_bulk_readers(Model& model);
/// References exist, ids are unique, expressions compile, patterns are well-formed. `base` holds further entries that
/// may be referred to, or is null.
void check(const Model& model, const Model* base, Problems& problems);

/// "ssh -i" is a flag of ssh, "--kubeconfig" of every program (empty).
struct ProgramFlag {
  std::string program, flag;
};
[[nodiscard]] inline ProgramFlag program_and_flag(const std::string& text) {
  const std::size_t space = text.find(' ');
  return space == std::string::npos ? ProgramFlag{{}, text}
                                    : ProgramFlag{text.substr(0, space), text.substr(space + 1)};
}

/// A path pattern cut into components: `~` gone, /var/run = /run, components of projected volumes ("..2026_…",
/// "..data") dropped.
struct CutPattern {
  std::vector<std::string> segments;
  bool home = false;      ///< stood below `~`
  bool anywhere = false;  ///< `~/.dir/…`: counts below any directory
  std::uint16_t literals = 0;
};
[[nodiscard]] std::optional<CutPattern> cut_pattern(const std::string& pattern);

}  // namespace keytrail::catalog::source
