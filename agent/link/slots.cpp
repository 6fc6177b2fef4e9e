// SPDX-License-Identifier: Apache-2.0
#include "agent/link/slots.h"

#include <algorithm>

namespace keytrail::link {
namespace {

constexpr std::size_t kMaxSelectors = 256;

}  // namespace

Slots::Slots(std::size_t limit) : files_(limit) {
  files_.on_evict([this](const std::string&, KnownFile& file) {
    for (const auto& [selector, id] : file.keys)
      changes_.push_back({file.container, file.path, selector, 0, id, {}});
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
  const bool known = instance.process && instance.process->workload;
  return known ? std::string(instance.process->workload->value(fact::kContainerId)) : std::string();
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

std::vector<SlotChange> Slots::update(KnownFile& file, const FileIdentity& identity, const std::vector<KeyFact>& facts,
                                      std::int64_t seen_ns) {
  std::vector<SlotChange> rotations;
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
    // Two keys of one kind of place in one slot (a registry's and a token's, say) would look like a rotation on every
    // read.
    const bool still_there = known != file.keys.end() && std::ranges::any_of(facts, [&](const KeyFact& other) {
                               return other.selector == fact.selector && other.key.id == known->second;
                             });
    if (still_there) continue;
    SlotChange change{file.container, file.path, fact.selector, seen_ns, {}, fact.key.id};
    if (known != file.keys.end()) {
      change.old_id = known->second;
      if (changed_ns > 0 && changed_ns <= seen_ns) change.time_ns = changed_ns;
      rotations.push_back(change);
    }
    file.keys[fact.selector] = fact.key.id;
    changes_.push_back(std::move(change));
  }
  return rotations;
}

void Slots::load(std::span<const SlotChange> slots) {
  for (const SlotChange& slot : slots) {
    auto& keys = file(slot.container, slot.place).keys;
    if (slot.new_id.empty()) {
      keys.erase(slot.selector);
    } else {
      keys[slot.selector] = slot.new_id;
    }
  }
}

}  // namespace keytrail::link
