// SPDX-License-Identifier: Apache-2.0
#include "agent/session.h"

#include <boost/json.hpp>
#include <optional>
#include <utility>

namespace keytrail {
namespace {

std::uint64_t settled(const WorkerCounters& counters) {
  std::uint64_t sum = counters.recorded + counters.absorbed;
  for (const auto& [reason, count] : counters.dropped)
    sum += count;
  return sum;
}

std::uint64_t number(const boost::json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  if (value == nullptr) return 0;
  boost::system::error_code error;
  const auto result = value->to_number<std::uint64_t>(error);
  return error ? 0 : result;
}

std::optional<WorkerCounters> parse_base(const std::string& stored, const std::string& id) {
  boost::system::error_code error;
  const auto value = boost::json::parse(stored, error);
  const auto* object = error ? nullptr : value.if_object();
  if (object == nullptr) return std::nullopt;
  const auto* stored_id = object->if_contains("id");
  if (stored_id == nullptr || !stored_id->is_string() || stored_id->get_string() != id) return std::nullopt;
  WorkerCounters base;
  base.received = number(*object, "received");
  base.recorded = number(*object, "recorded");
  base.absorbed = number(*object, "absorbed");
  if (const auto* dropped = object->if_contains("dropped"); dropped != nullptr && dropped->is_object()) {
    for (const auto& [reason, count] : dropped->get_object())
      base.dropped[std::string(reason)] = number(dropped->get_object(), reason);
  }
  return base;
}

}  // namespace

Session::Session(const std::string& id, const std::string& stored, WorkerCounters totals) : id_(id), totals_(std::move(totals)) {
  if (auto base = parse_base(stored, id)) {
    base_ = *std::move(base);
    continued_ = true;
    return;
  }
  // Events of an earlier session that were in hand when it ended: they get their fate here, so that the totals stay whole.
  const std::uint64_t fates = settled(totals_);
  if (totals_.received > fates) totals_.dropped["agent_restart"] += totals_.received - fates;
  base_ = totals_;
}

std::uint64_t Session::book_loss(std::uint64_t sent, std::uint64_t backlog, const std::string& reason) {
  const std::uint64_t known = settled(totals_) - settled(base_);
  const std::uint64_t taken = sent > backlog ? sent - backlog : 0;
  const std::uint64_t lost = taken > known ? taken - known : 0;
  if (lost > 0) totals_.dropped[reason] += lost;
  totals_.received = base_.received + taken;
  return lost;
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
  out.received -= base_.received;
  out.recorded -= base_.recorded;
  out.absorbed -= base_.absorbed;
  for (const auto& [reason, count] : base_.dropped) {
    std::uint64_t& dropped = out.dropped[reason];
    dropped -= count;
    if (dropped == 0) out.dropped.erase(reason);
  }
  return out;
}

std::string Session::text() const {
  boost::json::object dropped;
  for (const auto& [reason, count] : base_.dropped)
    dropped[reason] = count;
  return boost::json::serialize(boost::json::object{{"id", id_},
                                                    {"received", base_.received},
                                                    {"recorded", base_.recorded},
                                                    {"absorbed", base_.absorbed},
                                                    {"dropped", std::move(dropped)}});
}

}  // namespace keytrail
