// SPDX-License-Identifier: Apache-2.0
#include "agent/link/looks.h"

#include <algorithm>
#include <set>
#include <utility>

namespace keytrail::link {
namespace {

constexpr base::Owners kOwn{~std::uint64_t{0}, 0, 0};  ///< nobody's but the agent's

}  // namespace

std::string kinds_of(const catalog::File& entry) {
  std::string out;
  for (const std::string_view kind : entry.kinds)
    out.append(out.empty() ? "" : " ").append(kind);
  return out;
}

std::string_view other_kind_of(const catalog::File& entry, const catalog::Catalog& catalog) {
  const auto is_password = [&](std::string_view id) {
    const catalog::Kind* kind = catalog.kind(id);
    return kind != nullptr && kind->key_class == KeyClass::kPassword;
  };
  const auto other = std::ranges::find_if(
      entry.kinds, [&](std::string_view id) { return is_password(id) != is_password(entry.kind); });
  return other == entry.kinds.end() ? std::string_view() : *other;
}

std::string_view kind_at_host(const KeyFact& fact, const catalog::File& entry, const catalog::Catalog& catalog) {
  if (!fact.untold || fact.host.empty() || fact.key.key_class == KeyClass::kPassword) return {};
  const auto endpoint = catalog.match_host(fact.host);
  if (!endpoint || !endpoint->takes_keys || endpoint->open || catalog.accepts(*endpoint, fact.key.kind)) return {};
  const auto class_of = [&](std::string_view id) {
    const catalog::Kind* kind = catalog.kind(id);
    return kind == nullptr ? KeyClass::kPassword : kind->key_class;
  };
  const auto placed = std::ranges::find_if(entry.kinds, [&](std::string_view kind) {
    return class_of(kind) != KeyClass::kPassword && catalog.accepts(*endpoint, kind);
  });
  if (placed != entry.kinds.end()) return *placed;
  const auto accepted = catalog.accepted(*endpoint);
  const auto own =
      std::ranges::find_if(accepted, [&](std::string_view kind) { return class_of(kind) == fact.key.key_class; });
  return own == accepted.end() ? std::string_view() : *own;
}

bool Looks::is_elsewhere(std::string_view scope, const KnownFile* file, const OpenEvent& event) const {
  const std::uint32_t mnt_ns = event.namespace_of_path();
  if (mnt_ns == 0) return false;
  if (file != nullptr && file->dev == event.file.dev && file->identity.inode == event.file.inode) return false;
  const std::uint32_t machine = machine_mnt_ns();
  if (scope.empty() && machine != 0) return mnt_ns != machine;
  return file != nullptr && file->mnt_ns != 0 && file->mnt_ns != mnt_ns &&
         !examinations_.others_of_mount_ns(file->mnt_ns, {}).empty();
}

bool Looks::is_same_mount(const KnownFile& file, const Instance& opener) const {
  const auto was_there = [&](const Instance& one) { return clock_.to_wall(one.id.start_ns) <= file.seen_ns; };
  return was_there(opener) ||
         std::ranges::any_of(examinations_.others_of_mount_ns(file.only_in, opener.id), [&](std::uint32_t tgid) {
           const auto other = processes_.live().find(tgid);
           return other != processes_.live().end() && was_there(*other->second);
         });
}

std::string Looks::scope_of(const Instance& opener, const OpenEvent& event) {
  if (event.detached) return Slots::scope_of_detached(opener, machine_mnt_ns());
  const Instance* owner = &opener;
  if (event.place_ns != 0) {  // the slot is theirs who live there
    const std::vector<std::uint32_t> there = examinations_.others_of_mount_ns(event.place_ns, {});
    const auto live = there.empty() ? processes_.live().end() : processes_.live().find(there.front());
    if (live == processes_.live().end()) return Slots::scope_in({}, event.place_ns);
    owner = live->second.get();
  }
  std::string scope = Slots::scope_of(*owner, machine_mnt_ns());
  const std::string key = Slots::file_key(scope, Slots::place_of(event.path));
  const KnownFile* known = slots_.find(key);
  if (!is_elsewhere(scope, known, event)) return scope;
  if (known != nullptr && queue_.size() < options_.max_files) {  // or it is that file after all, and another by now
    queue_.emplace_front(key, InstanceRef{});
    start();
  }
  return Slots::scope_in(scope, event.namespace_of_path());
}

void Looks::on_read(const Instance& opener, const std::string& scope, const OpenEvent& event, std::uint64_t time_ns,
                    const catalog::File& entry, const FileAnswer& answer, bool remembered) {
  KnownFile& file = slots_.file(scope, Slots::place_of(event.path), std::string(workload_id(opener)));
  file.entry = &entry;
  if (remembered) return;  // its place holds something else by now; what that is shows the next look
  if (file.only_in != 0 && !is_same_mount(file, opener)) Slots::start_anew(file);
  Slots::follow(file, event.namespace_of_path(), event.file.dev);
  const FileIdentity& identity = answer.file.inode != 0 ? answer.file : event.file;
  const ReadTime read{clock_.to_wall(time_ns), clock_.wall_ns()};
  holders_.on_rotations(slots_.update(file, identity, answer.keys, read), &opener, processes_.live());
}

Looks::Adopted Looks::adopt(const Instance& instance, const Holding& holding, std::optional<std::string> stored_scope) {
  const bool of_file = holding.slot.from == From::kFile;
  std::string scope;
  if (stored_scope) {
    scope = std::move(*stored_scope);
  } else if (of_file) {  // of an earlier build: as if it had read it in its own root
    scope = Slots::scope_of(instance, machine_mnt_ns());
    std::string own = Slots::scope_in(scope, instance.process ? instance.process->mnt_ns : 0);
    if (slots_.find(Slots::file_key(own, holding.slot.place)) != nullptr) scope = std::move(own);
  }
  const catalog::File* entry = of_file ? catalog_.match_file(holding.slot.place) : nullptr;
  if (entry == nullptr) return {{}, std::move(scope)};
  KnownFile& file = slots_.file(scope, holding.slot.place);
  file.entry = entry;
  if (!file.keys.contains(holding.slot.selector) && !holding.slot_changed)
    file.keys[holding.slot.selector] = holding.key.id;
  return {entry->selector, std::move(scope)};
}

void Looks::on_tick(std::uint64_t now_ns) {
  if (now_ns >= last_ns_ + options_.look_every_ms * 1'000'000U) {
    last_ns_ = now_ns;
    queue();
  }
  start();
}

void Looks::queue() {
  if (!queue_.empty()) return;  // the last round is still going on
  const auto lives = [this](std::uint32_t mnt_ns) { return !examinations_.others_of_mount_ns(mnt_ns, {}).empty(); };
  if (watch_.swept) slots_.forget_ended(lives);  // before, not all that live are known
  const std::uint32_t machine = machine_mnt_ns();
  std::set<std::string> queued;
  for (const auto& [tgid, instance] : processes_.live()) {
    if (instance->holdings.empty() || !instance->process) continue;
    for (const Held& held : instance->holdings) {
      // What the process lost at an exec or never opened itself may not be visible from its root.
      if (held.what->slot.from != From::kFile || held.how >= How::kHelper) continue;
      const std::string& scope = held.what->scope;
      std::string key = Slots::file_key(scope, held.what->slot.place);
      if (queued.size() >= options_.max_files || queued.contains(key)) continue;
      KnownFile* file = slots_.find(key);
      if (file == nullptr) continue;
      const std::uint32_t own = instance->process->mnt_ns;
      if ((file->mnt_ns == 0 || file->mnt_ns != own) && !lives(file->mnt_ns)) {
        // Nobody lives there any more. Whoever read it through another's root has another file under its path; and on
        // the host another mount namespace may mean another file by it: not where its key was read.
        const auto slot = file->keys.find(held.what->slot.selector);
        const bool same = slot != file->keys.end() && slot->second == held.what->key.id;
        if (!Slots::is_own(*instance, scope, machine) || (scope.empty() && !same)) continue;
        file->mnt_ns = own;
      }
      queued.insert(key);
      queue_.emplace_back(std::move(key), instance);
    }
  }
}

void Looks::start() {
  while (!queue_.empty() && running_ < options_.max_looks) {
    const auto [key, instance] = std::move(queue_.front());
    queue_.pop_front();
    look(key, instance.lock());
  }
}

void Looks::look(const std::string& key, const InstanceRef& through) {
  KnownFile* file = slots_.find(key);
  if (file == nullptr || file->looking || file->entry == nullptr || file->entry->format.empty()) return;
  Reach reach;
  if (through && through->alive && through->process && through->process->mnt_ns == file->mnt_ns)
    reach.who = through->id;
  reach.mnt_ns = file->mnt_ns;
  reach.same_mount_ns = examinations_.others_of_mount_ns(file->mnt_ns, reach.who);
  if (reach.who.tgid == 0 && reach.same_mount_ns.empty()) return;
  file->looking = true;
  FileQuestion question;
  question.path = file->path;
  question.file = file->identity;
  question.format = file->entry->format;
  question.key_kind = file->entry->kind;
  question.other_kind = other_kind_of(*file->entry, catalog_);
  question.kinds = kinds_of(*file->entry);
  question.look = true;
  ++running_;
  examinations_.ask(kOwn, std::move(reach), std::move(question),
                    [this, key, asked_ns = clock_.wall_ns()](FileAnswer& answer) { on_answer(key, asked_ns, answer); });
}

void Looks::on_answer(const std::string& key, std::int64_t asked_ns, FileAnswer& answer) {
  --running_;
  if (KnownFile* seen = slots_.find(key)) {
    seen->looking = false;
    if (answer.unread.empty() && answer.unchanged) seen->seen_ns = std::max(seen->seen_ns, asked_ns);
    if (answer.unread.empty() && !answer.unchanged) {
      for (KeyFact& fact : answer.keys) {
        if (fact.key.kind.empty() && seen->entry != nullptr) fact.key.kind = seen->entry->kind;
        if (fact.key.id.empty()) fact.key.id = fact.key.fingerprint.text();
        if (!fact.key.id.empty()) index_.learn(fact.key);
      }
      const FileIdentity now = answer.file.inode != 0 ? answer.file : seen->identity;
      holders_.on_rotations(slots_.update(*seen, now, answer.keys, {asked_ns, clock_.wall_ns()}), nullptr,
                            processes_.live());
    }
  }
  start();
}

}  // namespace keytrail::link
