// SPDX-License-Identifier: Apache-2.0
#include "agent/link/slots.h"

#include <algorithm>
#include <boost/json.hpp>

namespace keytrail::link {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxRotations = 4'096;
constexpr std::size_t kMaxSelectors = 256;

std::string slot_name(const KnownFile& file, const std::string& selector) {
  return "slot:" + Slots::file_key(file.container, file.path) + "#" + selector;
}

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  const json::string* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string(*text) : std::string();
}

}  // namespace

Slots::Slots(std::size_t limit) : files_(limit) {
  files_.on_evict([this](const std::string&, KnownFile& file) {
    for (const auto& [selector, id] : file.keys)
      changes_[slot_name(file, selector)] = "";
  });
}

std::string Slots::file_key(std::string_view container, std::string_view path) {
  return container.empty() ? std::string(path) : std::string(container.substr(0, 12)) + ":" + std::string(path);
}

std::string Slots::place_of(std::string_view path) {
  std::string place;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at + 1), path.size());
    const std::string_view part = path.substr(at, end - at);  // with the slash before it
    if (part.size() <= 3 || !part.starts_with("/..")) place += part;
    at = end;
  }
  return place;
}

std::string Slots::container_of(const Instance& instance) {
  return instance.process && instance.process->workload ? instance.process->workload->container_id : std::string();
}

KnownFile& Slots::file(std::string_view container, std::string_view path) {
  const auto [known, fresh] = files_.get(file_key(container, path));
  if (fresh) {
    known->container = container;
    known->path = path;
  }
  return *known;
}

void Slots::follow(KnownFile& file, std::uint32_t mnt_ns, std::uint32_t dev) {
  if (file.dev != 0 && dev != 0 && file.dev != dev) {
    file.keys.clear();
    file.identity = {};
  }
  if (mnt_ns != 0) file.mnt_ns = mnt_ns;
  if (dev != 0) file.dev = dev;
}

std::vector<Rotation> Slots::update(KnownFile& file, const FileIdentity& identity, const std::vector<KeyFact>& facts,
                                    std::int64_t seen_ns) {
  std::vector<Rotation> rotations;
  file.identity = identity;
  constexpr std::int64_t kSecond = 1'000'000'000;
  // A file system may give any time: what is not in the past is not a number of ns either.
  const bool past = identity.ctime_s > 0 && identity.ctime_s <= seen_ns / kSecond;
  const std::int64_t changed_ns = past ? identity.ctime_s * kSecond + identity.ctime_ns : 0;
  for (const KeyFact& fact : facts) {
    if (fact.key.id.empty()) continue;
    const auto known = file.keys.find(fact.selector);
    if (known == file.keys.end() && file.keys.size() >= kMaxSelectors) continue;
    if (known != file.keys.end() && known->second == fact.key.id) continue;
    // Two keys of one kind of place in one slot (a registry's and a token's, say) would look like a rotation on every read.
    const bool still_there = known != file.keys.end() && std::ranges::any_of(facts, [&](const KeyFact& other) {
                               return other.selector == fact.selector && other.key.id == known->second;
                             });
    if (still_there) continue;
    if (known != file.keys.end()) {
      const bool plausible = changed_ns > 0 && changed_ns <= seen_ns;
      rotations.push_back({file.container, file.path, fact.selector, known->second, fact.key.id, plausible ? changed_ns : seen_ns});
      record(rotations.back());
    }
    file.keys[fact.selector] = fact.key.id;
    changes_[slot_name(file, fact.selector)] = json::serialize(json::object{
        {"key", fact.key.id}, {"container", file.container}, {"place", file.path}, {"selector", fact.selector}, {"time", seen_ns}});
  }
  return rotations;
}

void Slots::record(const Rotation& rotation) {
  changes_["rotation:" + rotation.old_id] =
      json::serialize(json::object{{"new", rotation.new_id},
                                   {"slot", rotation.selector.empty() ? rotation.path : rotation.path + " [" + rotation.selector + "]"},
                                   {"place", rotation.path},
                                   {"selector", rotation.selector},
                                   {"time", rotation.time_ns}});
  std::erase(rotations_, rotation.old_id);
  rotations_.push_back(rotation.old_id);
  // A slot that went back to a key: that one is no longer replaced.
  if (std::erase(rotations_, rotation.new_id) > 0) changes_["rotation:" + rotation.new_id] = "";
  if (rotations_.size() > kMaxRotations) {
    changes_["rotation:" + rotations_.front()] = "";
    rotations_.pop_front();
  }
}

void Slots::load(const State& state) {
  for (const auto& [name, value] : state) {
    if (name.starts_with("rotation:") && rotations_.size() < kMaxRotations) rotations_.push_back(name.substr(9));
    if (!name.starts_with("slot:")) continue;
    boost::system::error_code error;
    const json::value parsed = json::parse(value, error);
    const json::object* object = error ? nullptr : parsed.if_object();
    if (object == nullptr || text_of(*object, "key").empty()) continue;
    file(text_of(*object, "container"), text_of(*object, "place")).keys[text_of(*object, "selector")] = text_of(*object, "key");
  }
}

Slots::State Slots::take_state() {
  State out;
  out.swap(changes_);
  return out;
}

}  // namespace keytrail::link
