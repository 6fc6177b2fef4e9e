// SPDX-License-Identifier: Apache-2.0
#include "agent/link/outbox.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace keytrail::link {
namespace {

/// Of these the count is of events that nobody has seen.
bool is_loss(std::string_view cause) {
  constexpr std::array<std::string_view, 6> kLosses{"ring_full", "budget",       "read_fault",
                                                    "scratch",   "ring_damaged", "undecodable_event"};
  return std::ranges::find(kLosses, cause) != kLosses.end();
}

/// "Given up: arguments cut, 3 times, of payments/api." "12 events were lost, of payments/api."
std::string what_was_given_up(const GivenUp& one) {
  if (is_loss(one.cause)) {
    return std::to_string(one.count) + (one.count == 1 ? " event was lost" : " events were lost") +
           (one.scope.empty() ? "." : ", of " + one.scope + ".");
  }
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
