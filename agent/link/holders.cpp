// SPDX-License-Identifier: Apache-2.0
#include "agent/link/holders.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "agent/link/life.h"

namespace keytrail::link {
namespace {

/// Whether two scopes may mean the same file by one path, for a process that sees it in its own root: that a mount
/// namespace has a file of its own there may be known of one of them only.
bool is_same_root(std::string_view one, std::string_view other, const Instance& reader) {
  if (one == other) return true;
  const std::uint32_t mnt_ns = reader.process ? reader.process->mnt_ns : 0;
  return mnt_ns != 0 && (Slots::scope_in(one, mnt_ns) == other || Slots::scope_in(other, mnt_ns) == one);
}

/// When its program began.
std::uint64_t born(const Instance& instance) { return std::max(instance.id.start_ns, instance.doubts.life_from_ns); }

/// Most programs end within milliseconds, and take nothing but what their starter had, which may be hundreds of keys:
/// what lives on is stored a moment later. Only as long as the starter's rows say who has these keys; and who hands
/// them on within that moment, by fork or exec, gains no other one.
bool is_passing(const Instance& instance, std::uint64_t now_ns) {
  constexpr std::uint64_t kPassingNs = 100'000'000;
  const Instance* by = instance.shown_by.get();
  return instance.alive && !instance.synced && !instance.called && by != nullptr && by->alive && by->synced &&
         by->dropped_ns < instance.shown_since_ns && now_ns < instance.shown_since_ns + kPassingNs;
}

}  // namespace

Held* Holders::hold(const InstanceRef& instance, std::shared_ptr<const HeldKey> what, How how) {
  instance->shown_by = nullptr;  // it has more than what it came with
  const auto same = std::ranges::find_if(instance->holdings, [&](const Held& held) {
    if (held.what->key.id != what->key.id || held.what->slot != what->slot) return false;
    // Of two roots: two files, each with its own rotations.
    return what->slot.from != From::kFile || is_same_root(held.what->scope, what->scope, *instance);
  });
  if (same != instance->holdings.end()) {
    const auto at = static_cast<std::size_t>(same - instance->holdings.begin());
    Held& held = instance->holdings.change()[at];
    if (how != How::kHelper && how != How::kTold && what->since_ns > held.last_opened_ns()) {
      held.opened_ns = what->since_ns;
      if (has_opened(held)) {
        held.dirty = true;
        mark_dirty(instance);
      }
    }
    const bool stronger = how < held.how && held.how >= How::kHelper;
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
  if (!admit(*instance, 1, what->since_ns)) {
    mark_doubts(instance);
    return nullptr;
  }
  mark_dirty(instance);
  return &instance->holdings.change().emplace_back(Held{std::move(what), how});
}

bool Holders::has_room(Instance& instance, std::size_t more) {
  base::FairShares::Share& share = instance.holdings_share;
  if (!share) share = shares_.none(owners_of(instance));
  return instance.holdings.size() + more <= options_.max_holdings && share.grow(more);
}

bool Holders::admit(Instance& instance, std::size_t more, std::uint64_t time_ns) {
  if (has_room(instance, more)) return true;
  instance.doubts.mark_cut(time_ns);
  // What it began with before anything was watched is given up now.
  outbox_.give_up("holdings_over_bound", {}, workload_name(instance.process), more, std::max(time_ns, watch_.armed_ns));
  return false;
}

bool Holders::take(const InstanceRef& instance, const std::shared_ptr<const HeldKey>& what, How how) {
  Held* held = hold(instance, what, how);
  return held != nullptr ? announce(*instance, *held) : tell(*instance, *what, what->since_ns);
}

bool Holders::announce(Instance& instance, Held& held) {
  if (held.announced) return false;
  return announce_read(instance, held, held.what->since_ns);
}

bool Holders::announce_read(Instance& instance, Held& held, std::uint64_t time_ns) {
  held.announced = true;
  return tell(instance, *held.what, time_ns);
}

bool Holders::tell(const Instance& instance, const HeldKey& what, std::uint64_t time_ns) {
  const Key key = index_.best(what.key);
  if (!acquisitions_.take(instance, key, what.slot, what.baseline, time_ns)) return false;
  AcquisitionRow row;
  row.actor = make_actor(instance, time_ns);
  row.key = key;
  row.slot = what.slot;
  row.bulk = instance.reads_in_bulk();
  row.baseline = what.baseline;
  outbox_.emit(time_ns, std::move(row));
  return true;
}

void Holders::give_up_unread(const Instance& opener, std::uint64_t time_ns, std::vector<std::string> kinds,
                             std::string reason) {
  outbox_.give_up(GivenUp{kFilesUnread, to_string(Family::kOpen), workload_name(opener.process), std::move(reason),
                          std::move(kinds), 1, time_ns, time_ns});
}

bool Holders::announce_unread(const Instance& opener, std::uint64_t time_ns, const std::string& path, Key usual,
                              std::vector<std::string> kinds, std::string reason, bool baseline) {
  give_up_unread(opener, time_ns, std::move(kinds), reason);
  if (!acquisitions_.is_unread_news(opener, time_ns, path, reason)) return false;
  AcquisitionRow row;
  row.actor = make_actor(opener, time_ns);
  row.key = std::move(usual);
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
    what->kinds.assign(one.kinds.begin(), one.kinds.end());
    what->host = one.host;
    what->baseline = how == How::kBaseline;
    // A command's helpers inherit its environment: aws starts 16 processes, one ansible task 28, and nearly none uses
    // the key. The first program of such a chain is news; one that starts with what its own process already had in that
    // variable becomes news with its first use.
    const bool inherited =
        before != nullptr && std::ranges::any_of(before->holdings, [&](const Held& old) {
          return old.how != How::kLostAtExec && old.what->slot == one.slot && old.what->key.id == one.key.id;
        });
    if (inherited || how == How::kLostAtExec)
      (void)hold(instance, what, how);
    else
      recorded = take(instance, what, how) || recorded;
  }
  return recorded;
}

void Holders::tell_handed(const Instance& to, const Instance& from) { outbox_.emit(Child{to.id, from.id, true}); }

void Holders::inherit(Instance& child, const InstanceRef& parent, std::uint64_t time_ns) {
  if (parent->holdings.empty() || !admit(child, parent->holdings.size(), time_ns)) return;
  child.holdings = parent->holdings.of_fork();
  child.shown_by = parent->synced ? parent : parent->shown_by;
  child.shown_since_ns = parent->synced ? born(child) : parent->shown_since_ns;
}

// Keys of the old program are kept as "lost" for one exec only: they support `possible` at most, and what a container
// runtime or a login service held three programs ago would name keys to half of the node's processes. A shell starts
// programs with what a helper gave it (`$(cat key)`); others take that for themselves.
void Holders::carry_over_exec(Instance& next, const Instance& before) {
  const Holdings lost = before.holdings.lost_at_exec(is_shell(before));
  if (lost.empty()) return;
  if (next.holdings.empty() && has_room(next, lost.size())) {
    next.holdings = lost;
    next.shown_by = before.shown_by;  // its own rows end with it
    next.shown_since_ns = before.shown_since_ns;
    return;
  }
  std::unordered_set<std::string_view> own;
  for (const Held& held : next.holdings)
    own.insert(held.what->key.id);
  for (const Held& held : lost) {
    if (!own.contains(held.what->key.id) && admit(next, 1, next.doubts.life_from_ns))
      next.holdings.change().push_back(held);
  }
}

void Holders::supersede(const InstanceRef& reader, std::string_view place, std::string_view scope, std::uint32_t dev,
                        std::span<const KeyFact> facts, std::uint64_t time_ns) {
  for (std::size_t at = 0; at < reader->holdings.size(); ++at) {
    const Held& held = reader->holdings[at];
    const HeldKey& what = *held.what;
    const bool of_it = what.slot.from == From::kFile && what.slot.place == place && what.since_ns < time_ns &&
                       (what.dev == 0 || dev == 0 || what.dev == dev) && held.how != How::kLostAtExec;
    if (!of_it || held.superseded_ns != 0 || !is_same_root(what.scope, scope, *reader)) continue;
    const auto in_slot = [&](const KeyFact& fact) {
      return fact.selector == what.slot.selector && !fact.key.id.empty();
    };
    const auto still = [&](const KeyFact& fact) { return in_slot(fact) && fact.key.id == what.key.id; };
    if (!std::ranges::any_of(facts, in_slot) || std::ranges::any_of(facts, still)) continue;
    Held& own = reader->holdings.change()[at];
    own.superseded_ns = time_ns;
    own.dirty = true;
    reader->dropped_ns = time_ns;
    mark_dirty(reader);
  }
}

void Holders::on_rotations(const std::vector<SlotChange>& rotations, const Instance* reader,
                           const std::unordered_map<std::uint32_t, InstanceRef>& live) {
  if (rotations.empty()) return;
  outbox_.count("rotations", rotations.size());
  for (const auto& [tgid, instance] : live) {
    if (instance.get() == reader) continue;
    for (std::size_t at = 0; at < instance->holdings.size(); ++at) {
      const Held& held = instance->holdings[at];
      const Slot& slot = held.what->slot;
      const bool hit = slot.from == From::kFile && std::ranges::any_of(rotations, [&](const SlotChange& rotation) {
                         return slot.place == rotation.place && slot.selector == rotation.selector &&
                                held.what->key.id == rotation.old_id && held.what->scope == rotation.scope;
                       });
      if (!hit || held.slot_changed || held.superseded_ns != 0) continue;
      Held& own = instance->holdings.change()[at];
      own.slot_changed = true;
      own.dirty = true;
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

std::optional<std::string> Holders::stored_scope(const Instance& instance, const Holding& holding) const {
  const auto life = lives_.find(instance.id);
  if (life == lives_.end()) return std::nullopt;
  return scope_in_entry(life->second, holding.key.id, holding.slot);
}

void Holders::adopt(const InstanceRef& instance, const Holding& holding, std::string_view selector_rule,
                    std::string scope, const catalog::Catalog& catalog) {
  auto what = std::make_shared<HeldKey>();
  what->key = holding.key;
  what->slot = holding.slot;
  what->scope = std::move(scope);
  const std::int64_t since = holding.since_ns - clock_.to_wall(0);
  what->since_ns = since > 0 ? static_cast<std::uint64_t>(since) : 1;
  what->issued = holding.slot.from == From::kIssued;
  what->broker = holding.slot.from == From::kBroker;
  what->selector_rule = selector_rule;
  std::uint64_t opened_ns = 0;
  if (const auto life = lives_.find(instance->id); life != lives_.end())
    opened_ns = apply_entry(*what, life->second, catalog);
  index_.learn(what->key);
  if (holding.actor.session.starts_with("exec")) instance->entered = instance->id.tgid;
  acquisitions_.know(*instance, what->key, what->slot);
  if (Held* held = hold(instance, std::move(what), holding.how)) {
    held->last_use_ns = holding.last_use_ns;
    held->slot_changed = holding.slot_changed;
    held->opened_ns = std::max(held->opened_ns, opened_ns);
    held->announced = true;
    held->dirty = false;
  }
  instance->synced = true;
}

void Holders::sync(Link::Output& out, std::uint64_t now_ns) {
  out.readers = acquisitions_.take_readers(clock_);
  std::vector<InstanceRef> again;
  waits_since_ns_ = 0;
  for (const InstanceRef& instance : std::exchange(dirty_, {})) {
    instance->queued_dirty = false;
    if (is_passing(*instance, now_ns)) {
      const std::uint64_t since_ns = instance->shown_since_ns;
      waits_since_ns_ = waits_since_ns_ == 0 ? since_ns : std::min(waits_since_ns_, since_ns);
      again.push_back(instance);
      continue;
    }
    instance->shown_by = nullptr;
    sync_one(instance, out);
    if (!instance->alive && instance->held_uses != 0) again.push_back(instance);
  }
  for (const InstanceRef& instance : again)
    mark_dirty(instance);
}

/// What was set and ended within one batch never reaches the table.
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
  for (std::size_t at = 0; at < instance->holdings.size(); ++at) {
    if (!instance->holdings[at].dirty) continue;
    Held& held = instance->holdings.change()[at];
    held.dirty = false;
    entries = entries || (held.stored != held.what && has_entry(*held.what)) || has_opened(held);
    instance->synced = true;
    // The table has one row for the same key and path in two roots.
    const auto is_same_row = [&](const Held& other) {
      return other.superseded_ns == 0 && other.what->key.id == held.what->key.id && other.what->slot == held.what->slot;
    };
    if (held.superseded_ns != 0 && std::ranges::any_of(instance->holdings, is_same_row)) continue;
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
  Doubts& doubts = instance->doubts;
  if (doubts.gap_ns == 0) doubts.gap_ns = first_overlap(watch_.gaps.all(), doubts.life_from_ns, instance->cgroups);
  // Most changes are a use's time: the text is not made for these.
  if (!entries && instance->stored_doubts && same_doubts(*instance->stored_doubts, instance->doubts)) return;
  instance->stored_doubts = std::make_unique<const Doubts>(instance->doubts);
  if (!instance->holdings.empty()) {
    for (Held& held : instance->holdings.change())
      held.stored = held.what;
  }
  std::string life = encode_life(*instance);
  const std::size_t hash = std::hash<std::string>()(life);
  if (std::exchange(instance->stored_life, hash) != hash) out.lives.push_back({instance->id, std::move(life)});
}

}  // namespace keytrail::link
