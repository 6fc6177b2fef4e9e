// SPDX-License-Identifier: Apache-2.0
#include "agent/link/outbox.h"

#include <algorithm>

namespace keytrail::link {
namespace {

/// "Given up: arguments cut, 3 times, of payments/api."
std::string what_was_given_up(const GivenUp& one) {
  std::string words = one.cause;
  std::ranges::replace(words, '_', ' ');
  std::string text = "Given up: " + words + ", " + std::to_string(one.count) + (one.count == 1 ? " time" : " times");
  if (!one.scope.empty()) text += ", of " + one.scope;
  return text + ".";
}

}  // namespace

void Outbox::emit(std::uint64_t time_ns, AcquisitionRow row) {
  Row& out = out_.rows.emplace_back();
  out.time_ns = clock_.to_wall(time_ns);
  out.observed_ns = clock_.wall_ns();
  out.body = std::move(row);
}

void Outbox::emit(const Gap& gap, std::string cause, std::string text) {
  if (text.empty()) {
    text = cause == "baseline"
               ? "What happened before the agent was armed is known only as far as the sweep at start found it."
           : gap.lost ? std::to_string(*gap.lost) + " events were lost."
                      : "An unknown number of events may be missing.";
  }
  emit(gap, std::move(cause), {}, std::move(text));
}

void Outbox::emit(const Gap& gap, std::string cause, std::string scope, std::string text) {
  GapRow row{.cause = std::move(cause),
             .family = gap.family,
             .from_ns = clock_.to_wall(gap.from_ns),
             .to_ns = clock_.to_wall(gap.to_ns),
             .lost = gap.lost,
             .text = std::move(text),
             .scope = std::move(scope)};
  Row& out = out_.rows.emplace_back();
  out.time_ns = row.to_ns;
  out.observed_ns = clock_.wall_ns();
  out.body = std::move(row);
}

void Outbox::tell_given_up(std::uint64_t now_ns, bool all) {
  for (GivenUp& one : ledger_.take(now_ns, all)) {
    std::string text = what_was_given_up(one);
    emit(Gap{one.first_ns, one.last_ns, one.count, std::move(one.family)}, std::move(one.cause), std::move(one.scope),
         std::move(text));
  }
}

}  // namespace keytrail::link
