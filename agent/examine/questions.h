// SPDX-License-Identifier: Apache-2.0
// The worker's half of each question kind, one table: how a question is written into a request to the warden, and how
// the facts that came back for it make its answer. Pure functions, any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/catalog/catalog.h"
#include "keytrail/examiner.h"
#include "keytrail/hooks.h"
#include "keytrail/role_abi.h"

namespace keytrail::examine {

/// Finds a kind in the catalog: `[](auto id) { return catalog::Catalog::builtin().kind(id); }`.
using KindLookup = std::function<const catalog::Kind*(std::string_view id)>;

/// What warden and examiner said about one request, whatever was asked.
struct Gathered {
  std::vector<KeyFact> keys;
  std::vector<EnvItem> env;
  std::vector<BundleFact> facts;
  std::uint32_t skipped = 0;
  FileIdentity file;
  std::string format;
  bool unchanged = false;
};

[[nodiscard]] FileIdentity identity_of(const role::Identity& from);

/// Fills `out`; false when the question does not fit into the message.
[[nodiscard]] bool write_request(const ExamineRequest& request, const KindLookup& kinds, role::Open& out);

/// The same for a target (keytrail/hooks.h) in the file at `path`.
[[nodiscard]] bool write_target(const Reach& reach, const std::string& path, const FileIdentity& file,
                                const HookTarget& target, role::AttachTarget& out);

/// The answer to a question of this kind. What was not read has no keys.
[[nodiscard]] ExamineAnswer make_answer(role::Asks asks, std::string unread, Gathered gathered);

}  // namespace keytrail::examine
