// SPDX-License-Identifier: Apache-2.0
// From a held use to its row: waits for the examinations of what its process opened before, judges, notes what an issuer may have given.
#include <algorithm>
#include <unordered_set>

#include "agent/link/engine.h"

namespace keytrail::link {
namespace {

constexpr std::size_t kMaxParents = 4;  ///< keys that one issuer call may have been made with, as far as each gets an issued key

}  // namespace

bool Engine::is_ready(const HeldUse& use, std::uint64_t now_ns) const {
  if (now_ns >= use.deadline_ns) return true;
  if (use.late) {
    // The key comes after the first payload. The end of connection or process is the last moment at which it can have been read.
    if (!use.connection->closed && use.caller->alive) return false;
    return std::ranges::all_of(use.caller->pending, [](const auto& pending) { return pending->done; });
  }
  return std::ranges::none_of(use.caller->pending, [&](const auto& pending) { return !pending->done && pending->time_ns <= use.time_ns; });
}

void Engine::judge_ready(std::uint64_t now_ns, bool all) {
  // In order for each process, because what an issuer gave at one use counts at the next.
  std::unordered_set<const Instance*> waiting;
  for (auto it = held_uses_.begin(); it != held_uses_.end();) {
    const bool behind = waiting.contains(it->caller.get());
    if (!all && (behind || !is_ready(*it, now_ns))) {
      if (!behind && !it->late) waiting.insert(it->caller.get());
      ++it;
      continue;
    }
    HeldUse use = std::move(*it);
    it = held_uses_.erase(it);
    judge_use(use, now_ns);
  }
}

void Engine::judge_use(HeldUse& use, std::uint64_t now_ns) {
  Instance& caller = *use.caller;
  Connection& connection = *use.connection;
  if (!use.where.known && !name_by_file(use.where, caller, catalog_)) {
    release(use);
    settle(use.from_ring, Fate::kAbsorbed);
    return;
  }
  Question question{caller, use.where, {}, connection.remote, use.late};
  question.world.use_ns = use.late ? std::max(now_ns, use.time_ns) : use.time_ns;
  question.world.connected_ns = connection.connected_ns;
  question.world.gaps = gaps_.all();
  question.world.armed = armed_;
  const Verdict verdict = judge(question, index_, catalog_);

  if (verdict.silent) {
    release(use);
    settle(use.from_ring, Fate::kAbsorbed);
    return;
  }
  for (std::size_t i = 0; i < verdict.held.size(); ++i) {
    for (Held& held : caller.holdings) {
      if (held.what != verdict.held[i]) continue;
      announce(caller, held);
      // Only the key that was used, or most likely was: the others of a list were not seen used.
      if (i == 0) {
        held.last_use_ns = std::max(held.last_use_ns, clock_.to_wall(use.time_ns));
        held.dirty = true;
      }
    }
  }
  auto row = std::make_shared<UseRow>();
  row->actor = make_actor(caller);
  row->keys = verdict.keys;
  row->destination = use.where.destination;
  row->outcome = connection.failed ? Outcome::kFailed : Outcome::kUnknown;
  row->evidence = verdict.evidence;
  row->reason = verdict.reason;
  row->reason_detail = verdict.detail.substr(0, 200);
  row->via = use.where.via;
  row->first_ns = row->last_ns = clock_.to_wall(use.time_ns);
  row->bytes_sent = connection.reported_sent = connection.sent;
  row->bytes_received = connection.reported_received = connection.received;
  uses_.push_back(*row);
  connection.use = std::move(row);
  if (!verdict.held.empty()) mark_dirty(use.caller);
  note_issued(use, verdict);
  release(use);
  settle(use.from_ring, Fate::kRecorded);
}

void Engine::release(const HeldUse& use) {
  Instance& caller = *use.caller;
  if (caller.held_uses == 0) return;
  --caller.held_uses;
  if (caller.held_uses == 0 && !caller.alive) mark_dirty(use.caller);
}

void Engine::note_issued(const HeldUse& use, const Verdict& verdict) {
  if (use.where.ssh) return;
  std::size_t parents = 0;
  for (const Candidate& parent : verdict.keys) {
    if (parents >= kMaxParents) break;
    // What was issued from a key that was itself only maybe issued: the chain is not drawn longer than one guess.
    if (parent.slot.from == From::kIssued) continue;
    ++parents;
    // Of a host that issues now and then, every call would look like an issue.
    for (const std::string_view kind_id : catalog_.issues(use.where.endpoint, parent.key.kind, use.where.path, true)) {
      auto what = std::make_shared<HeldKey>();
      what->key.kind = kind_id;
      what->key.id = what->key.kind + "@" + parent.key.id;
      what->key.parent = parent.key.id;
      what->key.lifetime = Lifetime::kShortLived;
      if (const catalog::Kind* kind = catalog_.kind(kind_id)) {
        what->key.key_class = kind->key_class;
        what->key.lifetime = kind->lifetime;
      }
      what->slot = {From::kIssued, use.where.destination.host, {}};
      what->since_ns = use.time_ns;
      what->issued = true;
      what->issue_told = !use.where.path.empty() || !catalog_.often_only_asked(use.where.endpoint);
      (void)hold(use.caller, std::move(what), How::kDirect);  // its row comes with its first possible use
    }
  }
}

}  // namespace keytrail::link
