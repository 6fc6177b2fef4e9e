// SPDX-License-Identifier: Apache-2.0
#include "agent/link/slots.h"

#include <algorithm>
#include <utility>

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
    file.seen_ns = 0;
  }
  if (mnt_ns != 0) file.mnt_ns = mnt_ns;
  if (dev != 0) file.dev = dev;
}

std::vector<SlotChange> Slots::update(KnownFile& file, const FileIdentity& identity, const std::vector<KeyFact>& facts,
                                      ReadTime read) {
  std::vector<SlotChange> rotations;
  file.identity = identity;
  const std::int64_t before_ns = std::exchange(file.seen_ns, std::max(file.seen_ns, read.from_ns));
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
    SlotChange change{file.container, file.path, fact.selector, read.to_ns, {}, fact.key.id};
    if (known != file.keys.end()) {
      change.old_id = known->second;
      change.after_ns = std::min(before_ns, read.to_ns);
      rotations.push_back(change);
    }
    file.keys[fact.selector] = fact.key.id;
    changes_.push_back(std::move(change));
  }
  return rotations;
}

void Slots::load(std::span<const SlotChange> slots) {
  for (const SlotChange& slot : slots) {
    KnownFile& known = file(slot.container, slot.place);
    if (slot.new_id.empty()) {
      known.keys.erase(slot.selector);
    } else {
      known.keys[slot.selector] = slot.new_id;
      known.seen_ns = std::max(known.seen_ns, slot.time_ns);
    }
  }
}

}  // namespace keytrail::link
