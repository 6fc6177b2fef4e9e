// SPDX-License-Identifier: Apache-2.0
// What a key file, or a place that a file tells of, was found to hold becomes what its readers hold: one piece, whoever
// brings the fact (Opens, Pointers). In: an examination with its receivers, where it looked, the examiner's facts. Out:
// holdings, acquisitions, marks, tokens for identity. One thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "agent/catalog/catalog.h"
#include "agent/link/examinations.h"
#include "agent/link/holders.h"
#include "agent/link/key_index.h"
#include "agent/link/outbox.h"

namespace keytrail::link {

class Facts {
 public:
  Facts(const catalog::Catalog& catalog, KeyIndex& index, Holders& holders, Outbox& outbox)
      : catalog_(catalog), index_(index), holders_(holders), outbox_(outbox) {}

  struct Place {
    const catalog::File& file;  ///< what lies there
    Slot slot;                  ///< without the selector
    std::string scope;          ///< of a file: see SlotChange
    std::uint32_t dev = 0;
    bool baseline = false;
    std::optional<ToldPlace> told;             ///< of a place that a file told of: the entry there
    const catalog::File* taken_for = nullptr;  ///< what lies at no place of its own: as which it was told, or found
    /// How receivers have what is here, where that is not how they are listed: kTold, nobody was seen to take it.
    std::optional<How> how;
  };
  /// A key, or an entry without one (`leads_on`: not asked here). True when a row was made.
  bool hold(const Examination& by, const Place& where, KeyFact& fact);

 private:
  [[nodiscard]] std::shared_ptr<HeldKey> held_key(const Examination& by, const Place& where, const KeyFact& fact) const;
  /// The first is the one that took it: the others inherited it, or it was handed to them, and that row is the one.
  bool give(const Examination& by, const Place& where, const std::shared_ptr<HeldKey>& what);
  void mean(HeldKey& what, const ToldPlace& told) const;

  const catalog::Catalog& catalog_;
  KeyIndex& index_;
  Holders& holders_;
  Outbox& outbox_;
};

/// An entry without a key that says where it is: another file, a variable.
[[nodiscard]] inline bool leads_on(const KeyFact& fact) {
  return fact.key.id.empty() && fact.key.fingerprint.empty() && !(fact.path.empty() && fact.variable.empty());
}

/// What a file that it read told of this path.
[[nodiscard]] std::optional<ToldPlace> told_of(const Instance& reader, std::string_view path);

}  // namespace keytrail::link
