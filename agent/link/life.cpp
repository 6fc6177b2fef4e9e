// SPDX-License-Identifier: Apache-2.0
#include "agent/link/life.h"

#include <boost/json.hpp>

namespace keytrail::link {
namespace json = boost::json;

std::string life_name(const InstanceId& id) {
  return "life:" + std::to_string(id.tgid) + "-" + std::to_string(id.start_ns) + "-" + std::to_string(id.exec);
}

std::string encode_life(const Instance& instance) {
  json::object out{{"exec_seen", instance.exec_seen}, {"life_from", instance.life_from_ns}};
  std::uint64_t broker_ns = instance.broker_ns;
  for (const LocalTalk& talk : instance.local_talks)
    broker_ns = broker_ns == 0 ? talk.time_ns : std::min(broker_ns, talk.time_ns);
  if (broker_ns != 0) out["broker"] = broker_ns;
  if (instance.bulk) out["bulk"] = true;
  if (!instance.unidentified.empty()) {
    json::object marks;
    for (const Unidentified& mark : instance.unidentified)
      marks[mark.host.empty() ? mark.kind : "@" + mark.host] = mark.time_ns;
    out["unidentified"] = std::move(marks);
  }
  json::array entries;  // what the durable table has no column for
  for (const Held& held : instance.holdings) {
    const HeldKey& what = *held.what;
    if (what.host.empty() && !what.current) continue;
    entries.push_back(json::object{{"key", what.key.id},
                                   {"place", what.slot.place},
                                   {"selector", what.slot.selector},
                                   {"host", what.host},
                                   {"current", what.current}});
  }
  if (!entries.empty()) out["entries"] = std::move(entries);
  return json::serialize(out);
}

void apply_entry(HeldKey& what, const std::string& text) {
  boost::system::error_code error;
  const json::value parsed = json::parse(text, error);
  const json::object* object = error ? nullptr : parsed.if_object();
  const json::value* entries = object == nullptr ? nullptr : object->if_contains("entries");
  if (entries == nullptr || !entries->is_array()) return;
  const auto string = [](const json::value& entry, std::string_view name) -> std::string_view {
    const json::object* fields = entry.if_object();
    const json::value* value = fields == nullptr ? nullptr : fields->if_contains(name);
    return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
  };
  for (const json::value& entry : entries->get_array()) {
    if (string(entry, "key") != what.key.id || string(entry, "place") != what.slot.place || string(entry, "selector") != what.slot.selector)
      continue;
    what.host = string(entry, "host");
    const json::value* current = entry.get_object().if_contains("current");
    what.current = current != nullptr && current->is_bool() && current->get_bool();
    return;
  }
}

void apply_life(Instance& instance, const std::string& text) {
  boost::system::error_code error;
  const json::value parsed = json::parse(text, error);
  const json::object* object = error ? nullptr : parsed.if_object();
  if (object == nullptr) return;
  const auto number = [](const json::value* value) -> std::uint64_t {
    if (value == nullptr || !value->is_number()) return 0;
    boost::system::error_code ignored;
    return value->to_number<std::uint64_t>(ignored);
  };
  const auto flag = [&](std::string_view name) {
    const json::value* value = object->if_contains(name);
    return value != nullptr && value->is_bool() && value->get_bool();
  };
  instance.exec_seen = flag("exec_seen");
  instance.bulk = flag("bulk");
  instance.life_from_ns = number(object->if_contains("life_from"));
  instance.broker_ns = number(object->if_contains("broker"));
  const json::value* marks = object->if_contains("unidentified");
  if (marks == nullptr || !marks->is_object()) return;
  for (const auto& [name, time] : marks->get_object()) {
    if (name.starts_with('@')) {
      mark_unidentified(instance, {.time_ns = number(&time), .kind = {}, .host = name.substr(1)});
    } else {
      mark_unidentified(instance, number(&time), std::string_view(name.data(), name.size()));
    }
  }
}

}  // namespace keytrail::link
