// SPDX-License-Identifier: Apache-2.0
#include "agent/link/outbox.h"

namespace keytrail::link {

void Outbox::emit(std::uint64_t time_ns, AcquisitionRow row) {
  Row& out = out_.rows.emplace_back();
  out.time_ns = clock_.to_wall(time_ns);
  out.observed_ns = clock_.wall_ns();
  out.body = std::move(row);
}

void Outbox::emit(const Gap& gap, std::string cause) {
  const std::optional<std::uint64_t>& lost = gap.lost;
  GapRow row;
  row.text = cause == "baseline"
                 ? "What happened before the agent was armed is known only as far as the sweep at start found it."
             : lost ? std::to_string(*lost) + " events were lost."
                    : "An unknown number of events may be missing.";
  row.cause = std::move(cause);
  row.family = gap.family;
  row.from_ns = clock_.to_wall(gap.from_ns);
  row.to_ns = clock_.to_wall(gap.to_ns);
  row.lost = lost;
  Row& out = out_.rows.emplace_back();
  out.time_ns = row.to_ns;
  out.observed_ns = clock_.wall_ns();
  out.body = std::move(row);
}

}  // namespace keytrail::link
