// SPDX-License-Identifier: Apache-2.0
#include "agent/link/slots.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace keytrail::link {
namespace {

constexpr std::size_t kMaxSelectors = 256;
constexpr std::string_view kInMount = "mnt:";

/// 0: the scope is not that of one mount namespace.
std::uint32_t mount_in(std::string_view scope) {
  const std::size_t at = scope.rfind(kInMount);
  if (at == std::string_view::npos || (at != 0 && scope[at - 1] != '/')) return 0;
  const std::string_view number = scope.substr(at + kInMount.size());
  std::uint32_t out = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), out);
  return error == std::errc() && end == number.data() + number.size() ? out : 0;
}

}  // namespace

Slots::Slots(std::size_t limit) : files_(limit) {
  files_.on_evict([this](const std::string&, KnownFile& file) { tell_forgotten(file); });
}

void Slots::tell_forgotten(const KnownFile& file) {
  for (const auto& [selector, id] : file.keys)
    changes_.push_back({file.scope, file.path, selector, 0, id, {}});
}

std::string Slots::file_key(std::string_view scope, std::string_view path) {
  return scope.empty() ? std::string(path) : std::string(scope) + ":" + std::string(path);
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

std::string Slots::scope_of(const Instance& instance, std::uint32_t machine_mnt_ns) {
  if (!instance.process || !instance.process->workload) return {};
  const Workload& workload = *instance.process->workload;
  if (const std::string_view container = workload.value(fact::kContainerId); !container.empty())
    return std::string(container);
  if (workload.value(fact::kUnit).empty()) return {};
  const std::uint32_t own = instance.process->mnt_ns;
  return machine_mnt_ns != 0 && own != 0 && own != machine_mnt_ns ? workload.id : std::string();
}

std::string Slots::scope_in(std::string_view scope, std::uint32_t mnt_ns) {
  return std::string(scope) + (scope.empty() ? "" : "/") + std::string(kInMount) + std::to_string(mnt_ns);
}

bool Slots::is_own(const Instance& instance, std::string_view scope, std::uint32_t machine_mnt_ns) {
  const std::string own = scope_of(instance, machine_mnt_ns);
  const std::uint32_t mnt_ns = instance.process ? instance.process->mnt_ns : 0;
  return own == scope || (mnt_ns != 0 && scope_in(own, mnt_ns) == scope);
}

std::uint32_t Slots::machine_mnt_ns(const Live& live, std::uint32_t own_mnt_ns) {
  const auto init = live.find(1);
  const bool known = init != live.end() && init->second->process && init->second->process->mnt_ns != 0;
  return known ? init->second->process->mnt_ns : own_mnt_ns;
}

KnownFile& Slots::file(std::string_view scope, std::string_view path, const std::string& owner) {
  const auto [known, fresh] = files_.get(owner.empty() ? std::string(scope) : owner, file_key(scope, path));
  if (fresh) {
    known->scope = scope;
    known->only_in = mount_in(scope);
    known->path = path;
  }
  return *known;
}

void Slots::follow(KnownFile& file, std::uint32_t mnt_ns, std::uint32_t dev) {
  const bool fixed = file.scope.empty() || file.only_in != 0;
  if (fixed && file.dev != 0 && dev != 0 && file.dev != dev) start_anew(file);
  if (mnt_ns != 0) file.mnt_ns = mnt_ns;
  if (dev != 0) file.dev = dev;
}

void Slots::start_anew(KnownFile& file) {
  file.keys.clear();
  file.identity = {};
  file.seen_ns = 0;
}

void Slots::forget_ended(const std::function<bool(std::uint32_t)>& lives) {
  std::vector<std::string> ended;
  files_.each([&](const std::string& key, const KnownFile& file) {
    if (file.only_in == 0 || file.looking || lives(file.only_in)) return;
    tell_forgotten(file);
    ended.push_back(key);
  });
  for (const std::string& key : ended)
    files_.erase(key);
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
    SlotChange change{file.scope, file.path, fact.selector, read.to_ns, {}, fact.key.id};
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
    KnownFile& known = file(slot.scope, slot.place);
    if (slot.new_id.empty()) {
      known.keys.erase(slot.selector);
    } else {
      known.keys[slot.selector] = slot.new_id;
      known.seen_ns = std::max(known.seen_ns, slot.time_ns);
    }
  }
}

}  // namespace keytrail::link
