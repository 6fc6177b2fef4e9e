// SPDX-License-Identifier: Apache-2.0
#include "agent/link/looks.h"

#include <algorithm>
#include <set>

namespace keytrail::link {

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

bool Looks::is_elsewhere(const KnownFile& file, const OpenEvent& event) const {
  if (file.mnt_ns == 0 || event.mnt_ns == 0 || file.mnt_ns == event.mnt_ns) return false;
  const bool same = file.dev == event.file.dev && file.identity.inode == event.file.inode;
  return !same && !examinations_.others_of_mount_ns(file.mnt_ns, {}).empty();
}

void Looks::on_read(const Instance& opener, const OpenEvent& event, std::uint64_t time_ns, const catalog::File& entry,
                    const FileAnswer& answer, bool remembered) {
  const std::string container = Slots::container_of(opener);
  const std::string place = Slots::place_of(event.path);
  KnownFile& file = slots_.file(container, place);
  file.format = entry.format;
  file.kind = entry.kind;
  file.other_kind = other_kind_of(entry, catalog_);
  file.kinds = kinds_of(entry);
  if (remembered) return;  // its place holds something else by now; what that is shows the next look
  if (is_elsewhere(file, event)) {
    queue_.emplace_front(Slots::file_key(container, place), InstanceRef{});
    start();
    return;
  }
  Slots::follow(file, event.mnt_ns, event.file.dev);
  const FileIdentity& identity = answer.file.inode != 0 ? answer.file : event.file;
  const ReadTime read{clock_.to_wall(time_ns), clock_.wall_ns()};
  holders_.on_rotations(slots_.update(file, identity, answer.keys, read), &opener, processes_.live());
}

std::string_view Looks::adopt(const Instance& instance, const Holding& holding) {
  const catalog::File* entry = holding.slot.from == From::kFile ? catalog_.match_file(holding.slot.place) : nullptr;
  if (entry == nullptr) return {};
  KnownFile& file = slots_.file(Slots::container_of(instance), holding.slot.place);
  file.format = entry->format;
  file.kind = entry->kind;
  if (!file.keys.contains(holding.slot.selector) && !holding.slot_changed)
    file.keys[holding.slot.selector] = holding.key.id;
  return entry->selector;
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
  std::set<std::string> queued;
  for (const auto& [tgid, instance] : processes_.live()) {
    if (instance->holdings.empty() || !instance->process) continue;
    const std::string container = Slots::container_of(*instance);
    for (const Held& held : instance->holdings) {
      // What the process lost at an exec or never opened itself may not be visible from its root.
      if (held.what->slot.from != From::kFile || held.how >= How::kHelper) continue;
      std::string key = Slots::file_key(container, held.what->slot.place);
      if (queued.size() >= options_.max_files || !queued.insert(key).second) continue;
      KnownFile* file = slots_.find(key);
      if (file == nullptr) continue;
      if (examinations_.others_of_mount_ns(file->mnt_ns, {}).empty()) file->mnt_ns = instance->process->mnt_ns;
      queue_.emplace_back(std::move(key), instance);
    }
  }
}

void Looks::start() {
  while (!queue_.empty() && running_ < options_.max_looks && !examinations_.full()) {
    const auto [key, instance] = std::move(queue_.front());
    queue_.pop_front();
    look(key, instance.lock());
  }
}

void Looks::look(const std::string& key, const InstanceRef& through) {
  KnownFile* file = slots_.find(key);
  if (file == nullptr || file->looking || file->format.empty()) return;
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
  question.format = file->format;
  question.key_kind = file->kind;
  question.other_kind = file->other_kind;
  question.kinds = file->kinds;
  question.look = true;
  ++running_;
  examinations_.ask(std::move(reach), std::move(question),
                    [this, key, asked_ns = clock_.wall_ns()](FileAnswer& answer) { on_answer(key, asked_ns, answer); });
}

void Looks::on_answer(const std::string& key, std::int64_t asked_ns, FileAnswer& answer) {
  --running_;
  if (KnownFile* seen = slots_.find(key)) {
    seen->looking = false;
    if (answer.unread.empty() && answer.unchanged) seen->seen_ns = std::max(seen->seen_ns, asked_ns);
    if (answer.unread.empty() && !answer.unchanged) {
      for (KeyFact& fact : answer.keys) {
        if (fact.key.kind.empty()) fact.key.kind = seen->kind;
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
