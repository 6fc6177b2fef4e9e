// SPDX-License-Identifier: Apache-2.0
// A request's target taken apart and checked: path, parameters, filter. Pure; any thread.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/catalog/catalog.h"
#include "keytrail/history_reader.h"
#include "keytrail/result.h"

namespace keytrail::serve {

struct Target {
  std::vector<std::string> path;  ///< decoded segments: {"v1", "uses"}
  std::map<std::string, std::string> parameters;
};

struct Query {
  HistoryFilter filter;
  RowKinds kinds;
  bool after_given = false;
  std::string old_key, new_key;  ///< of a rotation
  bool with_quiet = true;        ///< who holds a key: processes that connected to nobody may hide a holder, too
  bool from_after_to = false;    ///< since is not before until: no question about the past
};

/// Takes a request target ("/v1/uses?key=AKIA…") apart. Errors: kInvalid when malformed, over 4 KiB, or a parameter
/// is there twice.
[[nodiscard]] Result<Target> parse_target(std::string_view target);
/// Checks the parameters. Errors: kInvalid with the parameter's name and what it takes, never its value; kRefused when
/// a value is a secret.
[[nodiscard]] Result<Query> parse_query(const Target& target, const catalog::Catalog& catalog, std::size_t max_rows);
/// The target as the log may have it: a path that there is, and the names of parameters that there are. Of the values,
/// which somebody typed, only the key's, and only when it is `known` here.
/// `known`: key ids of this node; no other value is in it.
[[nodiscard]] std::string for_log(const Target& target, const catalog::Catalog& catalog,
                                  std::span<const std::string> known);
/// Whether a row is one that the query asks for (as `HistoryReader::rows` decides), for live rows. Also one of a key of
/// which it is not known whether it lives as long as is asked for.
[[nodiscard]] bool matches(const Row& row, const Query& query);

}  // namespace keytrail::serve
