// SPDX-License-Identifier: Apache-2.0
// A secret was passed as an argument: every user of the machine can read it in the process list (ATT&CK T1552).
#include "agent/judge/finding.h"

namespace keytrail::judge {

void key_in_arguments(const Batch& batch, std::vector<Found>& out) {
  for (const Row& row : batch.rows) {
    const auto* acquisition = std::get_if<AcquisitionRow>(&row.body);
    if (acquisition == nullptr || acquisition->slot.from != From::kArgument) continue;
    Found found;
    found.time_ns = row.time_ns;
    FindingRow& finding = found.finding;
    finding.type = "key_in_arguments";
    finding.severity = Severity::kMedium;
    finding.text = acquisition->actor.program + " got key " + acquisition->key.id + " as an argument; every local user can read it";
    finding.attack = {"T1552"};
    finding.actor = acquisition->actor;
    finding.key = acquisition->key;
    finding.slot = acquisition->slot;
    finding.subject = acquisition->key.id + "|" + acquisition->actor.workload.id + "|" + acquisition->actor.exe;
    out.push_back(std::move(found));
  }
}

}  // namespace keytrail::judge
