// SPDX-License-Identifier: Apache-2.0
// What the kernel side filters by, derived from the catalog's entries. Used by the build-time tool.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/catalog/source.h"

namespace keytrail::catalog::source {

struct NameRule {
  NamePattern::Match match = NamePattern::Match::kExact;
  std::string text;
  auto operator<=>(const NameRule&) const = default;
};
struct EnvRule {
  std::string name;
  EnvAction action = EnvAction::kShow;
  bool prefix = false, suffix = false;
  bool unhashed = false;  ///< kSecret without a fingerprint
  std::string kind;       ///< the usual one, of identifiers and secrets
  bool url = false;       ///< its host and port may be shown
};
struct FlagRule {
  std::string flag;
  FlagAction action = FlagAction::kNone;
  std::uint32_t path_of = 0;
};

struct KernelRules {
  std::vector<NameRule> names;        ///< sorted, unique
  std::vector<NameRule> directories;  ///< sorted, unique
  std::vector<EnvRule> env;
  std::vector<FlagRule> flags;
  std::vector<std::string> programs;  ///< of flags that only some programs have; the index is the bit
  std::vector<const FormatEntry*> formats;
  std::vector<const ArgumentsEntry*> arguments;
  std::vector<const CarriedEntry*> carried;  ///< sorted by name
  std::vector<const InterpreterEntry*> interpreters;
  std::vector<std::string> places;      ///< paths of key files without wildcards; sorted, unique
  std::vector<std::string> free_names;  ///< patterns that no name rule covers, for the report
};

[[nodiscard]] KernelRules kernel_rules(const Model& model);

}  // namespace keytrail::catalog::source
