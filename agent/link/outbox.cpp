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

/// "Given up: arguments cut, 3 times, of payments/api." "12 events were lost, of payments/api." "1 key file was not
/// read (gone), of payments/api."
std::string what_was_given_up(const GivenUp& one) {
  const std::string count = std::to_string(one.count);
  const bool single = one.count == 1;
  std::string text;
  if (is_loss(one.cause)) {
    text = count + (single ? " event was lost" : " events were lost");
  } else if (one.cause == kFilesUnread) {
    text = count + (single ? " key file was not read" : " key files were not read");
    if (!one.detail.empty()) text += " (" + one.detail + ")";
  } else {
    std::string words = one.cause;
    std::ranges::replace(words, '_', ' ');
    text = "Given up: " + words + ", " + count + (single ? " time" : " times");
  }
  return text + (one.scope.empty() ? "." : ", of " + one.scope + ".");
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
  GapRow row;
  row.cause = std::move(cause);
  row.text = std::move(text);
  emit(gap, std::move(row));
}

/// `row`: without what `gap` says.
void Outbox::emit(const Gap& gap, GapRow row) {
  row.family = gap.family;
  row.from_ns = clock_.to_wall(gap.from_ns);
  row.to_ns = clock_.to_wall(gap.to_ns);
  row.lost = gap.lost;
  Row& out = out_.rows.emplace_back();
  out.time_ns = row.to_ns;
  out.observed_ns = clock_.wall_ns();
  out.body = std::move(row);
}

void Outbox::tell_given_up(std::uint64_t now_ns, bool all) {
  for (GivenUp& one : ledger_.take(now_ns, all)) {
    GapRow row;
    row.text = what_was_given_up(one);
    row.cause = std::move(one.cause);
    row.scope = std::move(one.scope);
    row.detail = std::move(one.detail);
    row.kinds = std::move(one.kinds);
    emit(Gap{one.first_ns, one.last_ns, one.count, std::move(one.family)}, std::move(row));
  }
}

}  // namespace keytrail::link
