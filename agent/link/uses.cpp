// SPDX-License-Identifier: Apache-2.0
#include "agent/link/uses.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>

#include "agent/link/fits.h"
#include "agent/link/hosts.h"

namespace keytrail::link {
namespace {

/// Keys that one issuer call may have been made with, as far as each gets an issued key.
constexpr std::size_t kMaxParents = 4;

/// Whether a connection that is weighed again is now called with something else.
bool is_news(const Connection& connection, const Verdict& verdict) {
  const UseRow* before = connection.latest_use();
  if (verdict.keys.empty()) return false;
  const auto same = [](const Candidate& a, const Candidate& b) { return a.key.id == b.key.id; };
  return before == nullptr || !std::ranges::equal(before->keys, verdict.keys, same);
}

/// The reason, and of a place that nobody knows and that has only its address why it has no name.
std::string with_unnamed(const Verdict& verdict, const Resolved& where) {
  const Destination& to = where.destination;
  if (where.known || !to.host.empty() || to.address.empty() || where.unnamed.empty()) return verdict.detail;
  std::string out = verdict.detail.empty() ? explain(verdict.reason) : verdict.detail;
  return out.append("; not named, because ").append(where.unnamed);
}

/// A key file, also one that is being read, may say that its entry is for this host.
bool may_be_named_by_file(const Instance& caller) {
  return !caller.pending.empty() ||
         std::ranges::any_of(caller.holdings, [](const Held& held) { return !held.what->host.empty(); }) ||
         std::ranges::any_of(caller.doubts.unidentified, [](const Unidentified& mark) { return !mark.host.empty(); });
}

}  // namespace

Done Uses::start(const ConnectionRef& connection, const ExchangeRef& exchange, Resolved where, bool from_ring) {
  Instance& caller = *exchange->writer;
  const bool late = where.ssh || (caller.program != nullptr && caller.program->late_key);
  const bool may_be_named = !where.known && !connection->udp && (late || may_be_named_by_file(caller));
  const bool unknown = where.endpoint.open || (!where.known && !where.harmless);
  // A key file that is being looked at counts: a datagram leaves within microseconds of the read.
  const bool may_leave = unknown && !(caller.holdings.empty() && caller.pending.empty());
  const bool may_give = !where.hands_out.empty() && !exchange->issue_seen;
  if (!where.takes_keys && !may_be_named && !may_leave && !may_give) return Done::kAbsorbed;
  const std::uint64_t deadline_ns =
      exchange->time_ns + (late ? options_.hold_late_ms : options_.hold_use_ms) * 1'000'000U;
  HeldUse use{connection, exchange, std::move(where), deadline_ns, from_ring, late, 0, {}};
  ++caller.held_uses;
  // The common case waits for nothing, and walks no list.
  if (caller.held_uses == 1 && is_ready(use, now_ns_)) {
    weigh_one(use, now_ns_);
  } else {
    hold(std::move(use));
  }
  return Done::kLater;
}

/// Who has too many that wait is judged earlier, as it stands: his oldest, and nobody else's.
void Uses::hold(HeldUse use) {
  const InstanceRef& caller = use.exchange->writer;
  use.share = shares_.take(owners_of(*caller));
  if (!use.share) {
    outbox_.count("held_uses_over_bound");
    const auto oldest = of_caller_.lower_bound({caller.get(), 0});
    if (oldest == of_caller_.end() || oldest->first.first != caller.get()) return weigh_one(use, now_ns_);
    auto at = oldest->second;
    HeldUse early = release(at);
    use.share = std::move(early.share);
    weigh_one(early, now_ns_);
  }
  use.number = ++last_number_;
  const std::pair name{static_cast<const Instance*>(caller.get()), use.number};
  held_.push_back(std::move(use));
  of_caller_.emplace(name, std::prev(held_.end()));
}

Uses::HeldUse Uses::release(std::list<HeldUse>::iterator& at) {
  HeldUse use = std::move(*at);
  of_caller_.erase({use.exchange->writer.get(), use.number});
  at = held_.erase(at);
  return use;
}

std::uint64_t Uses::oldest_ns() const {
  std::uint64_t oldest = 0;
  for (const HeldUse& use : held_) {
    if (oldest == 0 || use.exchange->time_ns < oldest) oldest = use.exchange->time_ns;
  }
  return oldest;
}

void Uses::touch(Connection& connection, std::uint64_t time_ns) {
  const UseRow* use = connection.latest_use();
  if (use == nullptr) return;
  const std::uint64_t sent = connection.sent - std::min(connection.sent, connection.reported_sent);
  const std::uint64_t received = connection.received - std::min(connection.received, connection.reported_received);
  if (sent == 0 && received == 0) return;
  connection.reported_sent = connection.sent;
  connection.reported_received = connection.received;
  UseTouch out{*use};
  out.use.connections = 0;
  out.use.requests.reset();
  out.use.bytes_sent = sent;
  out.use.bytes_received = received;
  // The close of a connection that was idle is not activity; only bytes that left are.
  if (sent != 0) out.use.last_ns = std::max(out.use.last_ns, clock_.to_wall(time_ns));
  outbox_.emit(std::move(out));
}

bool Uses::is_ready(const HeldUse& use, std::uint64_t now_ns) const {
  if (now_ns >= use.deadline_ns) return true;
  const Instance& caller = *use.exchange->writer;
  if (use.late) {
    // The key comes after the first payload. The end of connection or process is the last moment at which it can have
    // been read.
    if (!use.connection->closed && caller.alive) return false;
    return std::ranges::all_of(caller.pending, [](const auto& pending) { return pending->done; });
  }
  return std::ranges::none_of(
      caller.pending, [&](const auto& pending) { return !pending->done && pending->time_ns <= use.exchange->time_ns; });
}

void Uses::weigh_waiting(std::uint64_t now_ns, bool all) {
  // In order for each process, because what an issuer gave at one use counts at the next.
  std::unordered_set<const Instance*> waiting;
  for (auto it = held_.begin(); it != held_.end();) {
    const Instance* caller = it->exchange->writer.get();
    const bool behind = waiting.contains(caller);
    if (!all && (behind || !is_ready(*it, now_ns))) {
      if (!behind && !it->late) waiting.insert(caller);
      ++it;
      continue;
    }
    HeldUse use = release(it);
    weigh_one(use, now_ns);
  }
}

void Uses::weigh_ready_of(const Instance& caller) {
  bool behind = false;
  for (auto next = of_caller_.lower_bound({&caller, 0}); next != of_caller_.end() && next->first.first == &caller;) {
    auto at = (next++)->second;
    if (behind || !is_ready(*at, now_ns_)) {
      behind = behind || !at->late;
      continue;
    }
    HeldUse use = release(at);
    weigh_one(use, now_ns_);
  }
}

void Uses::weigh_one(HeldUse& use, std::uint64_t now_ns) {
  hosts_.check(use.where, *use.exchange->writer, catalog_);
  if (!use.where.known && !name_by_file(use.where, *use.exchange->writer, catalog_) && use.where.harmless)
    return settle(use, Fate::kAbsorbed);
  Verdict verdict = verdict_of(use, now_ns);
  if (verdict.keys.empty()) note_handed_out(use);
  if (verdict.silent || (use.exchange->again && !is_news(*use.connection, verdict)))
    return settle(use, Fate::kAbsorbed);
  if (verdict.reason == Reason::kUnknownDestination) bound(use.where.destination, verdict, *use.exchange);
  note_used(use, verdict);
  const auto row = std::make_shared<const UseRow>(row_of(use, verdict));
  Connection& connection = *use.connection;
  connection.reported_sent = connection.sent;
  connection.reported_received = connection.received;
  connection.counted = true;
  outbox_.emit(*row);
  if (use.where.ssh && use.exchange->writer->process)
    outbox_.emit(Child{row->actor.id, use.exchange->writer->process->parent});
  use.exchange->use = row;
  note_issued(use, verdict);
  settle(use, Fate::kRecorded);
}

Verdict Uses::verdict_of(const HeldUse& use, std::uint64_t now_ns) {
  const Exchange& exchange = *use.exchange;
  Question question{*exchange.writer, use.where, {}, use.connection->remote, use.late};
  question.request = exchange.request ? &*exchange.request : nullptr;
  question.world.use_ns = use.late ? std::max(now_ns, exchange.time_ns) : exchange.time_ns;
  question.world.connected_ns = use.connection->connected_ns;
  question.world.gaps = watch_.gaps.all();
  question.world.cgroups = exchange.writer->cgroups;
  question.world.armed = watch_.armed;
  return weigh(question, index_, catalog_);
}

void Uses::bound(Destination& to, Verdict& verdict, const Exchange& exchange) {
  const Instance& caller = *exchange.writer;
  std::string owner = caller.process && caller.process->workload ? caller.process->workload->id : std::string();
  if (caller.process) owner += ' ' + caller.process->exe;
  if (places_.admit(owner, to, exchange.time_ns)) return;
  outbox_.count("places_over_bound");
  to = {};
  verdict.detail = "more unknown destinations within the hour than are told apart";
}

void Uses::note_used(const HeldUse& use, const Verdict& verdict) {
  Instance& caller = *use.exchange->writer;
  // What an issuer may have given becomes a key when a use shows it: it ranks first, and not for want of anything else.
  if (!verdict.held.empty() && verdict.held.front()->issued) {
    const HeldKey& first = *verdict.held.front();
    const auto is_parent = [&](const Candidate& one) { return one.key.id == first.key.parent; };
    if (first.issue_told || std::ranges::any_of(verdict.keys, is_parent))
      (void)holders_.hold(use.exchange->writer, verdict.held.front(),
                          verdict.keys.front().reason == Reason::kFromHelper ? How::kHelper : How::kDirect);
  }
  for (std::size_t i = 0; i < verdict.held.size(); ++i) {
    for (std::size_t at = 0; at < caller.holdings.size(); ++at) {
      if (caller.holdings[at].what != verdict.held[i]) continue;
      Held& held = caller.holdings.change()[at];
      holders_.announce(caller, held);
      // Only the key that was used, or most likely was: the others of a list were not seen used, and what an unknown
      // place was sent is not known.
      if (i == 0 && verdict.reason != Reason::kUnknownDestination) {
        held.last_use_ns = std::max(held.last_use_ns, clock_.to_wall(use.exchange->time_ns));
        held.dirty = true;
      }
    }
  }
  if (!verdict.held.empty()) holders_.mark_dirty(use.exchange->writer);
}

UseRow Uses::row_of(const HeldUse& use, const Verdict& verdict) const {
  const Connection& connection = *use.connection;
  UseRow row;
  row.actor = make_actor(*use.exchange->writer, use.exchange->time_ns);
  row.keys = verdict.keys;
  row.destination = use.where.destination;
  row.outcome = connection.failed ? Outcome::kFailed : Outcome::kUnknown;
  row.evidence = verdict.evidence;
  row.reason = verdict.reason;
  row.reason_detail = with_unnamed(verdict, use.where).substr(0, 200);
  row.via = use.where.via;
  row.first_ns = row.last_ns = clock_.to_wall(use.exchange->time_ns);
  row.bytes_sent = connection.sent - std::min(connection.sent, connection.reported_sent);
  row.bytes_received = connection.received - std::min(connection.received, connection.reported_received);
  if (connection.counted) {
    row.connections = 0;
    row.requests = 1;
  }
  return row;
}

void Uses::note_issued(const HeldUse& use, const Verdict& verdict) {
  if (use.exchange->issue_seen) return;
  // A request that was read, and gives no key.
  const bool read = !use.where.path.empty(), gives = catalog_.is_issue_path(use.where.endpoint, use.where.path);
  if (!use.where.known || use.where.ssh || (read && !gives)) return;
  Instance& caller = *use.exchange->writer;
  std::size_t parents = 0;
  for (std::size_t i = 0; i < verdict.keys.size() && parents < kMaxParents; ++i) {
    const Candidate& parent = verdict.keys[i];
    // What was issued from a key that was itself only maybe issued: the chain is not drawn longer than one guess.
    if (parent.slot.from == From::kIssued) continue;
    ++parents;
    const std::string_view with = kind_there(use.where, *verdict.held[i], parent.key, catalog_);
    // Of a host that issues now and then, every call would look like an issue.
    for (const std::string_view kind : catalog_.issues(use.where.endpoint, with, use.where.path, true)) {
      const bool always = gives || catalog_.issues_always(use.where.endpoint, with, kind);
      MaybeIssued note{use.exchange->time_ns, std::string(kind), parent.key.id, use.where.destination.host, always};
      note.first = i == 0;
      // Keys are made by actions: only one that was seen makes one. Its row comes with its first possible use.
      if (gives) {
        (void)holders_.hold(use.exchange->writer, issued_key(note, catalog_), How::kDirect);
      } else {
        caller.doubts.note_maybe_issued(std::move(note));
      }
    }
  }
  holders_.mark_doubts(use.exchange->writer);
}

void Uses::note_handed_out(const HeldUse& use) {
  const Exchange& exchange = *use.exchange;
  if (use.where.hands_out.empty() || exchange.issue_seen) return;
  exchange.writer->doubts.note_maybe_issued({.time_ns = exchange.time_ns,
                                             .kind = std::string(use.where.hands_out),
                                             .parent = std::string(kUnnamedRole),
                                             .host = use.where.destination.host});
  holders_.mark_doubts(exchange.writer);
}

void Uses::settle(const HeldUse& use, Fate fate) {
  Instance& caller = *use.exchange->writer;
  if (caller.held_uses > 0) --caller.held_uses;
  if (caller.held_uses == 0 && !caller.alive) holders_.mark_dirty(use.exchange->writer);
  outbox_.settle(use.from_ring, fate);
}

}  // namespace keytrail::link
