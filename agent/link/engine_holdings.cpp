// SPDX-License-Identifier: Apache-2.0
// Holdings: who has which key, the rows that say so, and the changes of the durable table.
#include <algorithm>

#include "agent/link/engine.h"
#include "agent/link/life.h"

namespace keytrail::link {

Held* Engine::hold(const InstanceRef& instance, std::shared_ptr<const HeldKey> what, How how) {
  for (Held& held : instance->holdings) {
    if (held.what->key.id != what->key.id || held.what->slot != what->slot) continue;
    const bool stronger = how < How::kHelper && held.how >= How::kHelper;
    if (stronger) {
      held.what = std::move(what);
      held.how = how;
    }
    if (stronger || held.slot_changed) {
      held.slot_changed = false;  // it has read its slot again
      held.dirty = true;
      mark_dirty(instance);
    }
    return &held;
  }
  if (instance->holdings.size() >= options_.max_holdings) {
    ++counters_["holdings_over_bound"];
    instance->doubts.mark_unidentified(what->since_ns, {});
    return nullptr;
  }
  instance->holdings.push_back(Held{std::move(what), how});
  mark_dirty(instance);
  return &instance->holdings.back();
}

bool Engine::announce(Instance& instance, Held& held) {
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
  Row out;
  out.time_ns = clock_.to_wall(what.since_ns);
  out.observed_ns = clock_.wall_ns();
  out.body = std::move(row);
  emit(std::move(out));
  return true;
}

bool Engine::hold_environment(const InstanceRef& instance, std::span<const FoundKey> found, std::uint64_t time_ns, How how,
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
    // A command's helpers inherit its environment: aws starts 16 processes, one ansible task 28, and nearly none uses the key. The first
    // program of such a chain is news; one that starts with what its own process already had in that variable becomes news with its first
    // use.
    const bool inherited = before != nullptr && std::ranges::any_of(before->holdings, [&](const Held& old) {
                             return old.how != How::kLostAtExec && old.what->slot == one.slot && old.what->key.id == one.key.id;
                           });
    if (!inherited) recorded = announce(*instance, *held) || recorded;
  }
  return recorded;
}

void Engine::mark_dirty(const InstanceRef& instance) {
  if (instance->queued_dirty) return;
  instance->queued_dirty = true;
  dirty_.push_back(instance);
}

/// Many processes live shorter than a batch: what was set and ended within one never reaches the table.
void Engine::sync_holdings() {
  std::vector<InstanceRef> again;
  for (const InstanceRef& instance : dirty_) {
    instance->queued_dirty = false;
    const bool over = !instance->alive && instance->held_uses == 0;
    if (over && !instance->synced) continue;
    const Actor actor = make_actor(*instance);
    if (over) {
      HoldingChange change{HoldingChange::Kind::kEnd, {}};
      change.holding.actor = actor;
      holding_changes_.push_back(std::move(change));
      instance->synced = false;
      if (!instance->stored_life.empty()) state_[life_name(instance->id)] = "";
      continue;
    }
    for (Held& held : instance->holdings) {
      if (!held.dirty) continue;
      held.dirty = false;
      instance->synced = true;
      Holding holding;
      holding.actor = actor;
      holding.key = index_.best(held.what->key);
      holding.slot = held.what->slot;
      holding.since_ns = clock_.to_wall(held.what->since_ns);
      holding.last_use_ns = held.last_use_ns;
      holding.how = to_string(held.how);
      holding.slot_changed = held.slot_changed;
      holding_changes_.push_back({HoldingChange::Kind::kSet, std::move(holding)});
    }
    if (std::string life = instance->synced ? encode_life(*instance) : std::string(); life != instance->stored_life) {
      state_[life_name(instance->id)] = life;
      instance->stored_life = std::move(life);
    }
    if (!instance->alive) again.push_back(instance);
  }
  dirty_.clear();
  for (const InstanceRef& instance : again)
    mark_dirty(instance);
}

void Engine::apply(const std::vector<Rotation>& rotations, const Instance* reader) {
  if (rotations.empty()) return;
  counters_["rotations"] += rotations.size();
  for (const auto& [tgid, instance] : live_) {
    if (instance.get() == reader || instance->holdings.empty()) continue;
    const std::string container = Slots::container_of(*instance);
    for (Held& held : instance->holdings) {
      const Slot& slot = held.what->slot;
      const bool hit = slot.from == From::kFile && std::ranges::any_of(rotations, [&](const Rotation& rotation) {
                         return slot.place == rotation.path && slot.selector == rotation.selector && held.what->key.id == rotation.old_id &&
                                container == rotation.container;
                       });
      if (!hit || held.slot_changed) continue;
      held.slot_changed = true;
      held.dirty = true;
      mark_dirty(instance);
    }
  }
}

}  // namespace keytrail::link
