// SPDX-License-Identifier: Apache-2.0
// What is asked of the examiner: files that were opened, initial environments, and looks at known files.
#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "agent/link/engine.h"

namespace keytrail::link {
namespace {

/// What such a place may hold besides its usual kind: a password where that is none, else what is no password. Empty when nothing.
std::string_view other_kind_of(const catalog::File& entry, const catalog::Catalog& catalog) {
  const auto is_password = [&](std::string_view id) {
    const catalog::Kind* kind = catalog.kind(id);
    return kind != nullptr && kind->key_class == KeyClass::kPassword;
  };
  const auto other = std::ranges::find_if(entry.kinds, [&](std::string_view id) { return is_password(id) != is_password(entry.kind); });
  return other == entry.kinds.end() ? std::string_view() : *other;
}

/// Whoever got what was in it holds something unknown; a program that came by exec did not read it.
void mark_receivers(const Examination& examination, std::span<const std::string_view> kinds, std::string_view usual) {
  for (const auto& [instance, how] : examination.receivers) {
    if (how == How::kLostAtExec) continue;
    instance->doubts.mark_unidentified(examination.time_ns, usual);
    for (const std::string_view kind : kinds)
      instance->doubts.mark_unidentified(examination.time_ns, kind);
  }
}

/// An entry without a key tells for which host it is, or whose key buys its own.
void note_elsewhere(const Examination& examination, const KeyFact& fact, const catalog::File& entry) {
  for (const auto& [instance, how] : examination.receivers) {
    if (how == How::kLostAtExec) continue;
    if (!fact.host.empty())
      instance->doubts.mark_unidentified(
          {.time_ns = examination.time_ns, .kind = {}, .host = fact.host, .selector_rule = std::string(entry.selector)});
    instance->doubts.note_lead({std::string(entry.selector), fact.selector, fact.selector_hash, fact.key.parent});
  }
}

}  // namespace

std::vector<std::uint32_t> Engine::others_of_mount_ns(std::uint32_t mnt_ns, const InstanceId& who) const {
  if (mnt_ns == 0 || !same_mount_ns_) return {};
  std::vector<std::uint32_t> others = same_mount_ns_(mnt_ns);
  std::erase(others, who.tgid);
  if (others.size() > 8) others.resize(8);
  return others;
}

Engine::Done Engine::on_open(const OpenEvent& event, const EventHead& head, const ProcessRef& who) {
  const InstanceRef instance = instance_of(head.who, who);
  if (!instance || event.path_truncated) return Done::kAbsorbed;
  const catalog::File* entry = catalog_.match_file(event.path);
  if (entry == nullptr) entry = file_of_pointer(instance->env(), catalog_, event.path);
  // What the program was told to read there says more than a name that tools share (auth.json).
  const catalog::File* told = instance->process ? file_of_argument(*instance->process, catalog_, event.path) : nullptr;
  if (told != nullptr && (entry == nullptr || entry->format != told->format)) entry = told;
  if (entry == nullptr || entry->format.empty()) return Done::kAbsorbed;
  instance->doubts.note_key_file(event.file.inode, head.time_ns, options_.bulk_window_ms * 1'000'000U, options_.bulk_files);
  if (examinations_ >= options_.max_examinations) {
    instance->doubts.mark_unidentified(head.time_ns, entry->kind);
    drop_reason_ = "examine_overflow";
    return Done::kDropped;
  }

  auto examination = std::make_shared<Examination>();
  examination->time_ns = head.time_ns;
  examination->kind = entry->kind;
  examination->receivers.push_back({instance, head.baseline ? How::kBaseline : How::kDirect});
  instance->pending.push_back(examination);
  unanswered_.insert(examination);
  // A catalogued helper writes what it reads to its caller.
  if (instance->parent && instance->parent->alive) {
    examination->receivers.push_back({instance->parent, How::kHelper});
    instance->parent->pending.push_back(examination);
  }

  ExamineRequest request;
  request.who = instance->id;
  request.mnt_ns = event.mnt_ns;
  request.same_mount_ns = others_of_mount_ns(event.mnt_ns, instance->id);
  request.path = event.path;
  request.file = event.file;
  request.format = entry->format;
  request.key_kind = entry->kind;
  request.other_kind = other_kind_of(*entry, catalog_);
  ++examinations_;
  examiner_.examine(request, [weak = weak_from_this(), examination, event, entry, baseline = head.baseline,
                              from_ring = head.from_ring](ExamineAnswer answer) {
    if (const auto self = weak.lock()) self->on_open_answer(examination, event, *entry, baseline, from_ring, answer);
  });
  return Done::kLater;
}

bool Engine::remember(const FileIdentity& file, ExamineAnswer& answer) {
  // git's credential store reads its file and puts another in its place at once: the second read of one file comes too late.
  constexpr std::size_t kMaxFacts = 64;
  const bool late = answer.unread == "changed";
  if (file.inode == 0 || (!late && (!answer.unread.empty() || answer.keys.size() > kMaxFacts))) return false;
  std::string identity;
  for (const auto part :
       {std::uint64_t{file.dev}, file.inode, static_cast<std::uint64_t>(file.ctime_s), std::uint64_t{file.ctime_ns}, file.size})
    identity += std::to_string(part) + ":";
  if (!late) {
    *answered_.get(identity).first = answer.keys;
    return false;
  }
  const std::vector<KeyFact>* known = answered_.find(identity);
  if (known == nullptr) return false;
  answer.unread.clear();
  answer.keys = *known;
  return true;
}

void Engine::on_open_answer(const std::shared_ptr<Examination>& examination, const OpenEvent& event, const catalog::File& entry,
                            bool baseline, bool from_ring, ExamineAnswer& answer) {
  if (examination->done) return;
  --examinations_;
  const InstanceRef opener = examination->receivers.front().instance;
  counters_["entries_unparsed"] += answer.skipped;
  const bool remembered = remember(event.file, answer);
  bool recorded = false;
  if (!answer.unread.empty()) {
    mark_receivers(*examination, entry.kinds, entry.kind);
    if (acquisitions_.is_unread_news(*opener, event.path, answer.unread)) {
      AcquisitionRow row;
      row.actor = make_actor(*opener);
      row.key.kind = entry.kind;
      row.slot = {From::kFile, Slots::place_of(event.path), {}};
      row.unread = answer.unread;
      row.bulk = opener->reads_in_bulk();
      row.baseline = baseline;
      Row out;
      out.time_ns = clock_.to_wall(examination->time_ns);
      out.observed_ns = clock_.wall_ns();
      out.body = std::move(row);
      emit(std::move(out));
      recorded = true;
    }
  } else {
    for (KeyFact& fact : answer.keys) {
      if (fact.key.kind.empty()) fact.key.kind = entry.kind;
      if (fact.key.id.empty()) fact.key.id = fact.key.fingerprint.text();
      if (fact.key.id.empty() && (!fact.host.empty() || !fact.key.parent.empty())) {
        note_elsewhere(*examination, fact, entry);
        continue;
      }
      if (fact.key.id.empty()) {
        mark_receivers(*examination, entry.kinds, entry.kind);
        continue;
      }
      index_.learn(fact.key);
      auto what = std::make_shared<HeldKey>();
      what->key = fact.key;
      what->slot = {From::kFile, Slots::place_of(event.path), fact.selector};
      what->since_ns = examination->time_ns;
      what->dev = event.file.dev;
      what->selector_rule = entry.selector;
      what->selector_hash = fact.selector_hash;
      what->host = fact.host;
      what->current = fact.current;
      what->baseline = baseline;
      if (fact.untold) what->kinds = entry.kinds;
      for (std::size_t i = 0; i < examination->receivers.size(); ++i) {
        const auto& [instance, how] = examination->receivers[i];
        Held* held = hold(instance, what, how);
        if (held == nullptr) continue;
        if (i == 0) {
          recorded = announce(*instance, *held) || recorded;
        } else {
          held->announced = true;  // inherited, or handed over by the helper: that process's row is the one
        }
      }
    }
    const std::string container = Slots::container_of(*opener);
    const std::string place = Slots::place_of(event.path);
    KnownFile& file = slots_.file(container, place);
    file.format = entry.format;
    file.kind = entry.kind;
    file.other_kind = other_kind_of(entry, catalog_);
    if (remembered) {
      // Its place holds something else by now; what that is shows the next look.
    } else if (is_elsewhere(file, event)) {
      look_queue_.emplace_front(Slots::file_key(container, place), InstanceRef{});
      start_looks();
    } else {
      Slots::follow(file, event.mnt_ns, event.file.dev);
      apply(slots_.update(file, answer.file.inode != 0 ? answer.file : event.file, answer.keys, clock_.wall_ns()), opener.get());
    }
  }
  finish_examination(examination);
  settle(from_ring, recorded ? Fate::kRecorded : Fate::kAbsorbed);
  judge_ready(last_event_ns_);
}

void Engine::finish_examination(const std::shared_ptr<Examination>& examination) {
  examination->done = true;
  for (const auto& receiver : examination->receivers) {
    std::erase(receiver.instance->pending, examination);
    if (receiver.instance->synced) mark_dirty(receiver.instance);  // what it read may have left doubts
  }
  unanswered_.erase(examination);
  examination->receivers.clear();  // instance and examination point at each other until here
}

void Engine::ask_environment(const InstanceRef& instance, std::uint64_t time_ns) {
  instance->environment_asked = true;
  auto examination = std::make_shared<Examination>();
  examination->time_ns = std::max<std::uint64_t>(time_ns, 1);
  if (environment_queue_.size() >= options_.max_environment_queue) {
    ++counters_["environments_over_bound"];
    instance->doubts.mark_unidentified(examination->time_ns, {});
    return;
  }
  examination->receivers.push_back({instance, instance->doubts.exec_seen ? How::kExec : How::kBaseline});
  instance->pending.push_back(examination);
  unanswered_.insert(examination);
  environment_queue_.emplace_back(instance, examination);
  start_environments();
}

void Engine::start_environments() {
  while (!environment_queue_.empty() && environments_ < options_.max_environments && examinations_ < options_.max_examinations) {
    const InstanceRef instance = environment_queue_.front().first.lock();
    const std::shared_ptr<Examination> examination = std::move(environment_queue_.front().second);
    environment_queue_.pop_front();
    if (!instance || !instance->alive) {
      finish_examination(examination);
      continue;
    }
    ExamineRequest request;
    request.kind = ExamineRequest::Kind::kEnvironment;
    request.who = instance->id;
    if (instance->process) request.mnt_ns = instance->process->mnt_ns;
    ++environments_;
    ++examinations_;
    examiner_.examine(request, [weak = weak_from_this(), examination](ExamineAnswer answer) {
      if (const auto self = weak.lock()) self->on_environment_answer(examination, answer);
    });
  }
}

void Engine::on_environment_answer(const std::shared_ptr<Examination>& examination, ExamineAnswer& answer) {
  if (examination->done) return;
  --environments_;
  --examinations_;
  if (!answer.unread.empty()) {
    mark_receivers(*examination, {}, {});
    ++counters_["environments_unread"];
  } else {
    const InstanceRef first = examination->receivers.front().instance;
    const std::string owner = first->process && first->process->workload ? first->process->workload->name : std::string();
    std::vector<FoundKey> found = keys_of_environment(answer.env, catalog_, owner);
    // Where the examiner could tell more of a value than its fingerprint (a JWT's claims), that is the key.
    for (const KeyFact& fact : answer.keys) {
      if (fact.key.id.empty()) continue;
      const auto it = std::ranges::find_if(found, [&](const FoundKey& one) { return one.slot.place == fact.variable; });
      if (it == found.end()) {
        const bool paired = std::ranges::any_of(
            found, [&](const FoundKey& one) { return !fact.key.fingerprint.empty() && one.key.fingerprint == fact.key.fingerprint; });
        if (!paired) found.push_back({fact.key, {From::kEnvironment, fact.variable, {}}, {}});
      } else if (it->key.id.starts_with("fp:")) {
        it->key = fact.key;
        it->kinds = {};
      }
    }
    for (const FoundKey& one : found)
      index_.learn(one.key);
    for (const auto& [instance, how] : examination->receivers) {
      if (how == How::kBaseline || how == How::kExec || how == How::kFork) instance->baseline_env = answer.env;
      hold_environment(instance, found, examination->time_ns, how, nullptr);
    }
  }
  finish_examination(examination);
  judge_ready(last_event_ns_);
  start_environments();
}

bool Engine::is_elsewhere(const KnownFile& file, const OpenEvent& event) const {
  if (file.mnt_ns == 0 || event.mnt_ns == 0 || file.mnt_ns == event.mnt_ns) return false;
  const bool same = file.dev == event.file.dev && file.identity.inode == event.file.inode;
  return !same && !others_of_mount_ns(file.mnt_ns, {}).empty();
}

void Engine::queue_looks(std::uint64_t) {
  if (!look_queue_.empty()) return;  // the last round is still going on
  std::set<std::string> queued;
  for (const auto& [tgid, instance] : live_) {
    if (instance->holdings.empty() || !instance->process) continue;
    const std::string container = Slots::container_of(*instance);
    for (const Held& held : instance->holdings) {
      // What the process lost at an exec or never opened itself may not be visible from its root.
      if (held.what->slot.from != From::kFile || held.how >= How::kHelper) continue;
      std::string key = Slots::file_key(container, held.what->slot.place);
      if (queued.size() >= options_.max_files || !queued.insert(key).second) continue;
      KnownFile* file = slots_.find(key);
      if (file == nullptr) continue;
      if (others_of_mount_ns(file->mnt_ns, {}).empty()) file->mnt_ns = instance->process->mnt_ns;
      look_queue_.emplace_back(std::move(key), instance);
    }
  }
}

void Engine::start_looks() {
  while (!look_queue_.empty() && looks_ < options_.max_looks && examinations_ < options_.max_examinations) {
    const std::string key = std::move(look_queue_.front().first);
    const InstanceRef instance = look_queue_.front().second.lock();
    look_queue_.pop_front();
    KnownFile* file = slots_.find(key);
    if (file == nullptr || file->looking || file->format.empty()) continue;
    ExamineRequest request;
    if (instance && instance->alive && instance->process && instance->process->mnt_ns == file->mnt_ns) request.who = instance->id;
    request.mnt_ns = file->mnt_ns;
    request.same_mount_ns = others_of_mount_ns(file->mnt_ns, request.who);
    if (request.who.tgid == 0 && request.same_mount_ns.empty()) continue;
    file->looking = true;
    request.path = file->path;
    request.file = file->identity;
    request.format = file->format;
    request.key_kind = file->kind;
    request.other_kind = file->other_kind;
    request.look = true;
    ++looks_;
    ++examinations_;
    examiner_.examine(request, [weak = weak_from_this(), key](ExamineAnswer answer) {
      const auto self = weak.lock();
      if (!self) return;
      --self->looks_;
      --self->examinations_;
      if (KnownFile* seen = self->slots_.find(key)) {
        seen->looking = false;
        if (answer.unread.empty() && !answer.unchanged) {
          for (KeyFact& fact : answer.keys) {
            if (fact.key.kind.empty()) fact.key.kind = seen->kind;
            if (fact.key.id.empty()) fact.key.id = fact.key.fingerprint.text();
            if (!fact.key.id.empty()) self->index_.learn(fact.key);
          }
          const FileIdentity now = answer.file.inode != 0 ? answer.file : seen->identity;
          self->apply(self->slots_.update(*seen, now, answer.keys, self->clock_.wall_ns()), nullptr);
        }
      }
      self->start_looks();
    });
  }
}

}  // namespace keytrail::link
