// SPDX-License-Identifier: Apache-2.0
#include "agent/link/holders.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "agent/link/life.h"

namespace keytrail::link {

Held* Holders::hold(const InstanceRef& instance, std::shared_ptr<const HeldKey> what, How how) {
  for (Held& held : instance->holdings) {
    if (held.what->key.id != what->key.id || held.what->slot != what->slot) continue;
    const bool stronger = how < How::kHelper && held.how >= How::kHelper;
    if (stronger) {
      held.what = std::move(what);
      held.how = how;
    }
    if (stronger || held.slot_changed || held.superseded_ns != 0) {
      held.slot_changed = false;  // it has read its slot again
      held.superseded_ns = 0;
      held.dirty = true;
      mark_dirty(instance);
    }
    return &held;
  }
  if (instance->holdings.size() >= options_.max_holdings) {
    outbox_.count("holdings_over_bound");
    instance->doubts.mark_cut(what->since_ns);
    return nullptr;
  }
  instance->holdings.push_back(Held{std::move(what), how});
  mark_dirty(instance);
  return &instance->holdings.back();
}

bool Holders::announce(Instance& instance, Held& held) {
  if (held.announced) return false;
  held.announced = true;
  const HeldKey& what = *held.what;
  const Key key = index_.best(what.key);
  if (!acquisitions_.is_news(instance, key, what.slot)) return false;
  AcquisitionRow row;
  row.actor = make_actor(instance);
  row.key = key;
  row.slot = what.slot;
  row.bulk = instance.reads_in_bulk();
  row.baseline = what.baseline;
  outbox_.emit(what.since_ns, std::move(row));
  return true;
}

bool Holders::announce_unread(const Instance& opener, std::uint64_t time_ns, const std::string& path,
                              std::string_view kind, std::string reason, bool baseline) {
  if (!acquisitions_.is_unread_news(opener, path, reason)) return false;
  AcquisitionRow row;
  row.actor = make_actor(opener);
  row.key.kind = kind;
  row.slot = {From::kFile, Slots::place_of(path), {}};
  row.unread = std::move(reason);
  row.bulk = opener.reads_in_bulk();
  row.baseline = baseline;
  outbox_.emit(time_ns, std::move(row));
  return true;
}

bool Holders::hold_found(const InstanceRef& instance, std::span<const FoundKey> found, std::uint64_t time_ns, How how,
                         const Instance* before) {
  bool recorded = false;
  for (const FoundKey& one : found) {
    auto what = std::make_shared<HeldKey>();
    what->key = one.key;
    what->slot = one.slot;
    what->since_ns = time_ns;
    what->kinds = one.kinds;
    what->baseline = how == How::kBaseline;
    Held* held = hold(instance, std::move(what), how);
    if (held == nullptr) continue;
    // A command's helpers inherit its environment: aws starts 16 processes, one ansible task 28, and nearly none uses
    // the key. The first program of such a chain is news; one that starts with what its own process already had in that
    // variable becomes news with its first use.
    const bool inherited =
        before != nullptr && std::ranges::any_of(before->holdings, [&](const Held& old) {
          return old.how != How::kLostAtExec && old.what->slot == one.slot && old.what->key.id == one.key.id;
        });
    if (!inherited) recorded = announce(*instance, *held) || recorded;
  }
  return recorded;
}

void Holders::inherit(Instance& child, const Instance& parent) {
  child.holdings = parent.holdings;
  for (Held& held : child.holdings) {
    if (held.how == How::kDirect || held.how == How::kExec) held.how = How::kFork;
    held.last_use_ns = 0;
    held.dirty = true;
  }
}

void Holders::carry_over_exec(Instance& next, const Instance& before) const {
  // Keys of the old program are kept as "lost" for one exec only: they support `possible` at most, and what a container
  // runtime or a login service held three programs ago would name keys to half of the node's processes.
  for (const Held& held : before.holdings) {
    if (held.how == How::kLostAtExec || held.how == How::kHelper || held.superseded_ns != 0) continue;
    const bool again =
        std::ranges::any_of(next.holdings, [&](const Held& own) { return own.what->key.id == held.what->key.id; });
    if (again || next.holdings.size() >= options_.max_holdings) continue;
    Held lost = held;
    lost.how = How::kLostAtExec;
    lost.dirty = true;
    next.holdings.push_back(std::move(lost));
  }
}

void Holders::supersede(const InstanceRef& reader, std::string_view place, std::uint32_t dev,
                        std::span<const KeyFact> facts, std::uint64_t time_ns) {
  for (Held& held : reader->holdings) {
    const HeldKey& what = *held.what;
    const bool of_it = what.slot.from == From::kFile && what.slot.place == place && what.since_ns < time_ns &&
                       (what.dev == 0 || dev == 0 || what.dev == dev) && held.how != How::kLostAtExec;
    if (!of_it || held.superseded_ns != 0) continue;
    const auto in_slot = [&](const KeyFact& fact) {
      return fact.selector == what.slot.selector && !fact.key.id.empty();
    };
    const auto still = [&](const KeyFact& fact) { return in_slot(fact) && fact.key.id == what.key.id; };
    if (!std::ranges::any_of(facts, in_slot) || std::ranges::any_of(facts, still)) continue;
    held.superseded_ns = time_ns;
    held.dirty = true;
    mark_dirty(reader);
  }
}

void Holders::on_rotations(const std::vector<SlotChange>& rotations, const Instance* reader,
                           const std::unordered_map<std::uint32_t, InstanceRef>& live) {
  if (rotations.empty()) return;
  outbox_.count("rotations", rotations.size());
  for (const auto& [tgid, instance] : live) {
    if (instance.get() == reader || instance->holdings.empty()) continue;
    const std::string container = Slots::container_of(*instance);
    for (Held& held : instance->holdings) {
      const Slot& slot = held.what->slot;
      const bool hit = slot.from == From::kFile && std::ranges::any_of(rotations, [&](const SlotChange& rotation) {
                         return slot.place == rotation.place && slot.selector == rotation.selector &&
                                held.what->key.id == rotation.old_id && container == rotation.container;
                       });
      if (!hit || held.slot_changed || held.superseded_ns != 0) continue;
      held.slot_changed = true;
      held.dirty = true;
      mark_dirty(instance);
    }
  }
}

void Holders::mark_dirty(const InstanceRef& instance) {
  if (instance->queued_dirty) return;
  instance->queued_dirty = true;
  dirty_.push_back(instance);
}

void Holders::load(std::span<const Life> lives) {
  for (const Life& life : lives) {
    if (lives_.size() < options_.max_processes) lives_.emplace(life.id, life.text);
  }
}

void Holders::adopt_life(Instance& instance) {
  const auto life = lives_.find(instance.id);
  if (life == lives_.end() || instance.stored_life != 0) return;
  apply_life(instance, life->second);
  instance.doubts.weaken_by_restart();
  instance.stored_life = std::hash<std::string>()(life->second);
}

void Holders::adopt(const InstanceRef& instance, const Holding& holding, std::string_view selector_rule) {
  auto what = std::make_shared<HeldKey>();
  what->key = holding.key;
  what->slot = holding.slot;
  const std::int64_t since = holding.since_ns - clock_.to_wall(0);
  what->since_ns = since > 0 ? static_cast<std::uint64_t>(since) : 1;
  what->issued = holding.slot.from == From::kIssued;
  what->broker = holding.slot.from == From::kBroker;
  what->selector_rule = selector_rule;
  if (const auto life = lives_.find(instance->id); life != lives_.end()) apply_entry(*what, life->second);
  index_.learn(what->key);
  (void)acquisitions_.is_news(*instance, what->key, what->slot);  // it was a row of an earlier run
  if (Held* held = hold(instance, std::move(what), holding.how)) {
    held->last_use_ns = holding.last_use_ns;
    held->slot_changed = holding.slot_changed;
    held->announced = true;
    held->dirty = false;
  }
  instance->synced = true;
}

void Holders::sync(Link::Output& out) {
  std::vector<InstanceRef> again;
  for (const InstanceRef& instance : std::exchange(dirty_, {})) {
    instance->queued_dirty = false;
    sync_one(instance, out);
    if (!instance->alive && instance->held_uses != 0) again.push_back(instance);
  }
  for (const InstanceRef& instance : again)
    mark_dirty(instance);
}

/// Many processes live shorter than a batch: what was set and ended within one never reaches the table.
void Holders::sync_one(const InstanceRef& instance, Link::Output& out) {
  const bool over = !instance->alive && instance->held_uses == 0;
  if (over && !instance->synced) return;
  const Actor actor = make_actor(*instance);
  if (over) {
    HoldingChange change{HoldingChange::Kind::kEnd, {}};
    change.holding.actor = actor;
    out.holdings.push_back(std::move(change));
    instance->synced = false;
    return;
  }
  bool entries = false;
  for (Held& held : instance->holdings) {
    if (!held.dirty) continue;
    held.dirty = false;
    entries = entries || has_entry(*held.what);
    instance->synced = true;
    Holding holding;
    holding.actor = actor;
    holding.key = index_.best(held.what->key);
    holding.slot = held.what->slot;
    holding.since_ns = clock_.to_wall(held.what->since_ns);
    holding.last_use_ns = held.last_use_ns;
    holding.how = held.how;
    holding.slot_changed = held.slot_changed;
    const auto kind = held.superseded_ns == 0 ? HoldingChange::Kind::kSet : HoldingChange::Kind::kDrop;
    out.holdings.push_back({kind, std::move(holding)});
  }
  if (!instance->synced) return;
  // Most changes are a use's time: the text is not made for these.
  if (!entries && instance->stored_doubts && same_doubts(*instance->stored_doubts, instance->doubts)) return;
  instance->stored_doubts = std::make_unique<const Doubts>(instance->doubts);
  std::string life = encode_life(*instance);
  const std::size_t hash = std::hash<std::string>()(life);
  if (std::exchange(instance->stored_life, hash) != hash) out.lives.push_back({instance->id, std::move(life)});
}

}  // namespace keytrail::link
