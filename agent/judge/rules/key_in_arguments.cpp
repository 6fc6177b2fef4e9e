// SPDX-License-Identifier: Apache-2.0
// A secret was passed as an argument: every user of the machine could read it in the process list (ATT&CK T1552).
// It stays open when the process ends: who looked has the key, and only another key changes that. It is resolved when
// its slot gets one.
#include "agent/judge/rule.h"

namespace keytrail::judge {
namespace {

class KeyInArguments final : public Rule {
 public:
  KeyInArguments(const base::FindingType& is, Setup setup) : Rule(is, Severity::kMedium, std::move(setup)) {}

  void on_row(const Row& row) override {
    const auto* acquisition = std::get_if<AcquisitionRow>(&row.body);
    if (acquisition == nullptr || acquisition->slot.from != From::kArgument) return;
    FindingRow finding;
    finding.text = acquisition->actor.program + " got key " + acquisition->key.id +
                   " as an argument; every local user can read it";
    finding.attack = {"T1552"};
    finding.actor = acquisition->actor;
    finding.key = acquisition->key;
    finding.slot = acquisition->slot;
    finding.subject = acquisition->key.id + "|" + acquisition->actor.workload.id + "|" + acquisition->actor.exe;
    open(row.time_ns, std::move(finding));
  }

  void on_slot_change(const SlotChange& change) override {
    if (!change.old_id.empty() && !change.new_id.empty()) resolve_all(change.old_id + "|", change.time_ns);
  }
};

}  // namespace

extern const RuleEntry kKeyInArguments;
const RuleEntry kKeyInArguments{{"key_in_arguments", {}}, make_rule<KeyInArguments>};

}  // namespace keytrail::judge
