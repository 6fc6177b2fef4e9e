// SPDX-License-Identifier: Apache-2.0
// The shape of the compiled catalog: constant arrays that keytrail-catalog-compile writes and catalog.cpp reads.
// Internal to this folder. Every index of one array into another was checked by the tool.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "agent/catalog/catalog.h"

namespace keytrail::catalog::tables {

using Strings = std::span<const std::string_view>;
using Indices = std::span<const std::uint16_t>;

/// A path pattern, cut at '/'. `home`: it stood below `~`; `anywhere`: `~/.dir/…`, which counts below any directory.
struct FilePattern {
  std::uint16_t file;
  std::uint16_t literals;  ///< characters that are no wildcard: most of them wins
  bool exclusion, home, anywhere;
  Strings segments;
};
/// Patterns whose last component is `leaf`, sorted by it.
struct Leaf {
  std::string_view leaf;
  std::uint16_t pattern;
};
/// Patterns whose last component has a wildcard, sorted by their first one; that is "" where it has a wildcard, too.
struct Head {
  std::string_view first;
  std::uint16_t pattern;
};

/// A flag whose value is a path to such a file; `program` empty: of every program.
struct FileFlag {
  std::string_view program, flag, file;
};

/// An option whose value is a path to such a file, in files of this format or of the entry of this id.
struct FileOption {
  std::string_view of, option, file;
};

/// A variable name with '*', most literal characters first.
struct EnvPattern {
  std::string_view pattern;
  std::uint16_t env;
};

struct Host {
  std::string_view id, provider, service, region, region_default;
  std::string_view regex;  ///< "" for exact and suffix
  std::uint16_t accept;
  bool by_service;
};
enum class How : std::uint8_t { kExact, kSuffix, kRegex };
/// Sorted by domain, then by host entry (the first entry that fits wins).
struct Domain {
  std::string_view domain;
  How how;
  std::uint16_t host;
};

struct Action {
  Strings takes, gives;
  bool seldom;  ///< one of many calls there: only a request that is seen can show it
};
struct Request {
  IssueRequest is;
  Strings hosts, paths;
};
struct Issuer {
  std::string_view id;
  Indices requests;
  std::span<const Action> actions;
  bool whoami;            ///< a usual call there hands out nothing, and only says who asks
  bool hands_out_others;  ///< a store of secrets: a usual call there with its own key reads or writes something
};
struct Accept {
  Strings kinds;
  Indices issuers;
  Anonymous anonymous;
  bool open;
};
struct Service {
  std::string_view provider, service, host_regex;
  std::uint16_t accept;
};
struct Binding {
  std::string_view id, provider, service;
  Strings schemes, names, selectors;
  std::uint16_t accept;
};
struct Port {
  std::uint16_t port;
  std::string_view provider, service;
  std::uint16_t accept;
};

struct Metadata {
  std::string_view id, provider, kind;
  Strings addresses, hosts, paths;
  bool role, step;
};
/// Address ranges that a provider publishes; IPv4 and IPv6 blocks as texts, which only `explain` reads.
struct Ranges {
  std::string_view provider, date;
  bool whole;
  Strings blocks;
};
struct Socket {
  std::string_view path;
  LocalSocket is;
};
struct ProgramName {
  std::string_view name;
  bool script;
  std::uint16_t program;
};
/// A folder whose programs are this one, whatever their name.
struct ProgramFolder {
  std::string_view folder;
  std::uint16_t program;
};
struct RoleData {
  Role is;
  Strings names, inside;
};
struct ReaderData {
  std::string_view id;
  ReaderRole role;
  Strings names, folders, reads;
};
struct SelectorData {
  std::string_view id;
  std::span<const Selector::Step> steps;
  bool host_binds;
};
struct FormatData {
  Catalog::Format format;
  std::string_view regex;
};
struct Line {
  std::string_view section, id, text, verified;
};

struct Tables {
  std::span<const Kind> kinds;  ///< sorted by id
  std::span<const File> files;  ///< sorted by id
  std::span<const FilePattern> patterns;
  std::span<const Leaf> exact_leaves;
  std::span<const Head> wild_heads;
  std::span<const FileFlag> file_flags;
  std::span<const FileOption> file_options;
  std::span<const Env> env;  ///< exact names sorted; then those with '*'
  std::uint16_t exact_env;   ///< how many exact names
  std::span<const EnvPattern> env_patterns;
  std::span<const Request> requests;
  std::span<const Issuer> issuers;
  std::span<const Service> services;
  std::span<const Binding> bindings;
  std::span<const Port> ports;
  std::span<const Accept> accepts;
  std::span<const Host> hosts;
  std::span<const Domain> domains;  ///< sorted by domain
  std::span<const Metadata> metadata;
  std::span<const Ranges> ranges;
  std::span<const Socket> sockets;
  Strings installed;
  std::span<const Program> programs;
  std::span<const ProgramName> program_names;
  std::span<const ProgramFolder> program_folders;
  std::span<const RoleData> roles;
  std::span<const ReaderData> readers;
  std::span<const SelectorData> selectors;  ///< sorted by id
  std::span<const FormatData> formats;
  std::span<const Line> lines;  ///< for `catalog list`
};

/// Bytes that one expression and its matching may take; one that needs more is refused.
inline constexpr std::int64_t kMaxRegexMemory = 1 << 20;
inline constexpr std::uint16_t kNone = UINT16_MAX;
/// Provider of a binding whose variables are of many: then it is the variable's own.
inline constexpr std::string_view kByVariable = "by-variable";
/// Names of one binding; the tool refuses more.
inline constexpr std::size_t kMaxBindingNames = 16;

/// Defined in the generated file.
extern const Tables kTables;

}  // namespace keytrail::catalog::tables
