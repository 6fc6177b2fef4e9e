// SPDX-License-Identifier: Apache-2.0
#include "agent/judge/judge.h"

#include <algorithm>
#include <boost/json.hpp>

namespace keytrail::judge {
namespace {

namespace json = boost::json;

constexpr std::string_view kRotation = "rotation:";
constexpr std::string_view kFinding = "finding:";

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  const json::string* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string(*text) : std::string();
}

std::int64_t number_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_number()) return 0;
  boost::system::error_code error;
  const auto number = value->to_number<std::int64_t>(error);
  return error ? 0 : number;
}

}  // namespace

Judge::Judge(const Clock& clock, std::size_t max_remembered) : clock_(clock), limit_(std::max<std::size_t>(max_remembered, 1)) {}

void Judge::load_state(const std::map<std::string, std::string>& state) {
  for (const auto& [name, value] : state) {
    if (name.starts_with(kRotation)) learn(name, value);
    if (name.starts_with(kFinding) && !value.empty() && told_.insert(name).second) told_order_.push_back(name);
  }
}

void Judge::learn(const std::string& name, const std::string& value) {
  const std::string id = name.substr(kRotation.size());
  if (value.empty()) {
    facts_.replaced.erase(id);
    std::erase(replaced_order_, id);
    return;
  }
  boost::system::error_code error;
  const json::value parsed = json::parse(value, error);
  const json::object* object = error ? nullptr : parsed.if_object();
  if (object == nullptr) return;
  if (!facts_.replaced.contains(id)) {
    if (facts_.replaced.size() >= limit_) {
      facts_.replaced.erase(replaced_order_.front());
      replaced_order_.pop_front();
    }
    replaced_order_.push_back(id);
  }
  facts_.replaced[id] = {text_of(*object, "new"), text_of(*object, "place"), text_of(*object, "selector"), number_of(*object, "time")};
}

bool Judge::first_time(const std::string& name) {
  if (!told_.insert(name).second) return false;
  told_order_.push_back(name);
  state_[name] = "1";
  if (told_order_.size() > limit_) {
    state_[told_order_.front()] = "";
    told_.erase(told_order_.front());
    told_order_.pop_front();
  }
  return true;
}

std::vector<Row> Judge::on_batch(std::span<const Row> rows, std::span<const UseRow> uses, std::span<const UseTouch> touches,
                                 const std::map<std::string, std::string>& state) {
  std::vector<std::string> just_replaced;
  for (auto it = state.lower_bound(std::string(kRotation)); it != state.end() && it->first.starts_with(kRotation); ++it) {
    learn(it->first, it->second);
    if (!it->second.empty()) just_replaced.push_back(it->first.substr(kRotation.size()));
  }
  std::vector<const UseRow*> all;
  for (const UseRow& use : uses)
    all.push_back(&use);
  for (const UseTouch& touch : touches) {
    if (touch.use.bytes_sent > 0) all.push_back(&touch.use);
  }
  for (const UseRow* use : all) {
    if (use->keys.empty() || use->evidence == Evidence::kUnattributed) continue;
    const std::string& id = use->keys.front().key.id;
    if (!facts_.last_uses.contains(id) && facts_.last_uses.size() >= limit_) facts_.last_uses.erase(facts_.last_uses.begin());
    facts_.last_uses[id] = *use;
  }
  std::vector<Found> found;
  const Batch batch{rows, all, facts_, just_replaced};
  for (const Rule& rule : rules())
    rule.look(batch, found);

  std::vector<Row> out;
  for (Found& one : found) {
    if (!first_time(std::string(kFinding) + one.finding.type + ":" + one.finding.subject)) continue;
    Row row;
    row.time_ns = one.time_ns;
    row.observed_ns = clock_.wall_ns();
    row.body = std::move(one.finding);
    out.push_back(std::move(row));
  }
  return out;
}

std::map<std::string, std::string> Judge::take_state() {
  std::map<std::string, std::string> out;
  out.swap(state_);
  return out;
}

}  // namespace keytrail::judge
