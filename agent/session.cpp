// SPDX-License-Identifier: Apache-2.0
#include "agent/session.h"

#include <algorithm>
#include <utility>

namespace keytrail {
namespace {

std::uint64_t settled(const WorkerCounters& counters) {
  std::uint64_t sum = counters.recorded + counters.absorbed;
  for (const auto& [reason, count] : counters.dropped)
    sum += count;
  return sum;
}

}  // namespace

Session::Session(const std::string& id, const SessionBase& stored, WorkerCounters totals)
    : base_{id, {}}, totals_(std::move(totals)) {
  if (stored.id == id) {
    base_ = stored;
    continued_ = true;
    return;
  }
  // Events of an earlier session that were in hand when it ended: they get their fate here, so that the totals stay
  // whole.
  const std::uint64_t fates = settled(totals_);
  if (totals_.received > fates) totals_.dropped["agent_restart"] += totals_.received - fates;
  base_.counters = totals_;
}

std::uint64_t Session::book_loss(std::uint64_t sent, std::uint64_t backlog, const std::string& reason) {
  const std::uint64_t known = settled(totals_) - settled(base_.counters);
  const std::uint64_t taken = sent > backlog ? sent - backlog : 0;
  const std::uint64_t lost = taken > known ? taken - known : 0;
  if (lost > 0) totals_.dropped[reason] += lost;
  totals_.received = base_.counters.received + taken;
  return lost;
}

void Session::told(const std::string& family, const std::string& cause, std::uint64_t count) {
  totals_.told[family + "/" + cause] += count;
}

std::uint64_t Session::told(const std::string& family, const std::string& cause) const {
  const std::string name = family + "/" + cause;
  const auto all = totals_.told.find(name), before = base_.counters.told.find(name);
  if (all == totals_.told.end()) return 0;
  return all->second - (before == base_.counters.told.end() ? 0 : std::min(before->second, all->second));
}

void Session::received() {
  ++totals_.received;
  ++pending_;
}

void Session::fate(Fate fate, const std::string& reason) {
  totals_.add(fate, reason);
  --pending_;
}

WorkerCounters Session::since_armed() const {
  WorkerCounters out = totals_;
  out.received -= base_.counters.received;
  out.recorded -= base_.counters.recorded;
  out.absorbed -= base_.counters.absorbed;
  for (const auto& [reason, count] : base_.counters.dropped) {
    std::uint64_t& dropped = out.dropped[reason];
    dropped -= count;
    if (dropped == 0) out.dropped.erase(reason);
  }
  return out;
}

}  // namespace keytrail
