// SPDX-License-Identifier: Apache-2.0
// Which of the keys that a process holds may have gone to a destination, and in which order. What that says of the one
// use is weighed in candidates.cpp. Pure.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "agent/link/candidates.h"

namespace keytrail::link {

struct Fit {
  const Held* held;
  Key key;  ///< best known
  int rank = 0;
  std::size_t order = 0;
};

struct Fits {
  std::vector<Fit> list;
  std::deque<Held> made;  ///< what may have been issued, behind some of them
};

/// The SDKs' documented order: environment, file, what was issued; then what came loosely.
[[nodiscard]] int rank(const Held& held);

/// The kind of key that this one is taken for there: its own, or one that its place may hold.
[[nodiscard]] std::string_view kind_there(const Resolved& where, const HeldKey& held, const Key& key,
                                          const catalog::Catalog& catalog);

/// A command line that names the host names the key for it, too: "curl -H 'Authorization: …' https://host/".
[[nodiscard]] bool is_told_for(const Resolved& where, const HeldKey& held);

using Counts = std::function<bool(const Key& key, const HeldKey& held)>;
/// The keys held then that `counts` lets through, one per key id, best rank first, within a rank the newest first.
[[nodiscard]] std::vector<Fit> held_then(const Question& question, KeyIndex& index, const catalog::Catalog& catalog,
                                         const Counts& counts);
/// Those that the destination takes.
[[nodiscard]] std::vector<Fit> fits(const Question& question, KeyIndex& index, const catalog::Catalog& catalog);
/// Where nothing else fits: those with which one makes what the destination takes (a JWT that its holder signs).
[[nodiscard]] std::vector<Fit> signers(const Question& question, KeyIndex& index, const catalog::Catalog& catalog);
/// What calls to issuers may have given counts where nothing better fits, beside its parent only where such a call
/// always gives a key, or a role in the configuration or a child's output says that it was made for one. A metadata
/// service has no parent: what it may have given counts beside all others.
void add_maybe_issued(Fits& found, const Question& question, const catalog::Catalog& catalog);
/// Parent of what a metadata service gives, where its request names no role.
inline constexpr std::string_view kUnnamedRole = "role";
/// What a call to an issuer may have given, as it would be held.
[[nodiscard]] std::shared_ptr<const HeldKey> issued_key(const MaybeIssued& note, const catalog::Catalog& catalog);

}  // namespace keytrail::link
