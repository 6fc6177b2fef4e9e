// SPDX-License-Identifier: Apache-2.0
#include "agent/link/engine.h"

#include <algorithm>
#include <utility>

#include "agent/link/unseen.h"

namespace keytrail::link {
namespace {

/// One handler per event type, each for exactly that type: with a new type in Event::body and no handler for it,
/// nothing compiles.
template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

/// Whose home the place is in: "/home/NAME", "/root", else empty.
std::string_view home_of(std::string_view place) {
  constexpr std::string_view kHome = "/home/", kRoot = "/root";
  if (place.starts_with("/root/")) return kRoot;
  const std::size_t end = place.starts_with(kHome) ? place.find('/', kHome.size()) : std::string_view::npos;
  return end == std::string_view::npos ? std::string_view() : place.substr(0, end);
}

}  // namespace

Engine::Engine(LinkOptions options, const catalog::Catalog& catalog, Examiner& examiner, const Clock& clock,
               Link::FateCall fate, Link::SameMountNs same_mount_ns)
    : options_(options),
      catalog_(catalog),
      watch_(options_.max_gaps),
      index_(options_.max_news),
      outbox_(clock, std::move(fate)),
      holders_(options_, clock, watch_, index_, outbox_),
      processes_(options_, catalog, watch_, index_, holders_, outbox_),
      uses_(options_, catalog, clock, watch_, index_, holders_, host_names_, outbox_),
      examinations_(options_, examiner, std::move(same_mount_ns), holders_),
      hosts_(host_names_, examinations_, uses_),
      pipes_(holders_, processes_),
      looks_(options_, catalog, clock, index_, holders_, processes_, examinations_, watch_),
      environments_(options_, catalog, watch_, index_, holders_, examinations_, uses_, outbox_),
      arguments_(catalog, index_, holders_, examinations_, uses_, outbox_),
      found_(options_.max_found),
      facts_(catalog, index_, holders_, outbox_),
      pointers_(catalog, examinations_, facts_, found_, uses_, outbox_),
      opens_(options_, catalog, holders_, processes_, examinations_, looks_, facts_, pointers_, found_, uses_, outbox_),
      connections_(options_, catalog, holders_, processes_, hosts_, uses_, outbox_) {}

void Engine::on_event(const Event& event, const ProcessRef& who, const ProcessRef& other) {
  uses_.advance(event.head.time_ns);
  const Done done = dispatch(event, who, other);
  if (done == Done::kLater) return;
  outbox_.settle(event.head.from_ring, done == Done::kRecorded ? Fate::kRecorded : Fate::kAbsorbed);
}

Done Engine::dispatch(const Event& event, const ProcessRef& who, const ProcessRef& other) {
  const EventHead& head = event.head;
  const Overloaded handlers{
      [&](const ForkEvent& fork) {
        pipes_.on_fork(processes_.find_live(head.who));
        processes_.on_fork(fork, head, who, other);
        return Done::kAbsorbed;
      },
      [&](const ExecEvent& exec) { return on_exec(exec, head, who); },
      [&](const ExitEvent&) { return on_exit(head); },
      [&](const OpenEvent& open) {
        if (!open.is_pipe) return opens_.on_open(open, head, who);
        pipes_.on_open(processes_.instance_of(head.who, who), open, head.time_ns);
        return Done::kAbsorbed;
      },
      [&](const PeekEvent& peek) { return opens_.on_peek(peek, head, who); },
      [&](const ConnectEvent& connect) {
        ask_for_address(head);
        const Done done = connections_.on_connect(connect, head, who);
        pipes_.on_connect(connect, processes_.find_live(head.who));
        return done;
      },
      [&](const SocketEvent& socket) { return connections_.on_socket(socket, head); },
      [&](const PayloadEvent& payload) { return connections_.on_payload(payload, head, who); },
      [&](const DnsEvent& dns) {
        connections_.on_dns(dns, head, who);
        return Done::kAbsorbed;
      },
      [&](const UnixConnectEvent& local) { return connections_.on_unix(local, head, who); },
      [&](const CgroupEvent&) { return Done::kAbsorbed; },  // identify's
      [&](const TaskEvent&) { return on_task(head, who); },
      [&](const BaselineDoneEvent& done) { return on_baseline_done(done); },
      [&](const HeartbeatEvent&) { return Done::kAbsorbed; },  // the pipeline's
      [&](const LossEvent& loss) {
        lose({loss.from_ns, head.time_ns, loss.count, to_string(loss.family), loss.owner}, loss.cause, loss.workload);
        return Done::kRecorded;
      },
  };
  return std::visit(handlers, event.body);
}

Done Engine::on_exec(const ExecEvent& event, const EventHead& head, const ProcessRef& who) {
  const auto [instance, done] = processes_.on_exec(event, head, who);
  pipes_.on_exec(instance, event);
  arguments_.on_exec(instance, event, head.time_ns);
  if (event.env_truncated || instance->untold) environments_.ask(instance, head.time_ns);
  return done;
}

/// Many programs have a proxy's variable, few of them connect.
void Engine::ask_for_address(const EventHead& head) {
  const InstanceRef instance = processes_.find_live(head.who);
  if (instance && instance->hides_address && !instance->environment_asked)
    environments_.ask(instance, instance->doubts.life_from_ns);
}

Done Engine::on_exit(const EventHead& head) {
  const InstanceRef instance = processes_.on_exit(head);
  if (instance) pipes_.on_exit(instance);
  if (instance && instance->held_uses > 0) uses_.weigh_ready_of(*instance);
  return Done::kAbsorbed;
}

Done Engine::on_task(const EventHead& head, const ProcessRef& who) {
  constexpr std::uint32_t kThreadsOfKernel = 2;
  if (!who && head.who.tgid == kThreadsOfKernel) return Done::kAbsorbed;
  // Its fork or exec came through the hooks while the sweep ran, or it was adopted: that knows more.
  if (const InstanceRef known = processes_.find_live(head.who); known && known->doubts.exec_seen)
    return Done::kAbsorbed;
  const InstanceRef instance = processes_.instance_of(head.who, who);
  if (!instance || instance->environment_asked) return Done::kAbsorbed;
  environments_.ask(instance, instance->doubts.life_from_ns != 0 ? instance->doubts.life_from_ns : head.time_ns);
  return Done::kAbsorbed;
}

Done Engine::on_baseline_done(const BaselineDoneEvent& event) {
  if (watch_.armed_ns == 0) watch_.armed_ns = event.armed_ns;
  watch_.swept = true;
  processes_.all_are_there();
  // A row for people, where the history begins: after a restart that one's gap says it. The closed world needs no gap
  // of it: whoever ran before has no exec that was seen.
  if (!options_.goes_on) outbox_.emit(Gap{0, event.armed_ns, std::nullopt, {}}, "baseline");
  return options_.goes_on ? Done::kAbsorbed : Done::kRecorded;
}

void Engine::gap(const Gap& gap, std::string cause, std::string text) {
  watch_.gaps.add(gap);
  watch_.news = true;
  outbox_.emit(gap, std::move(cause), std::move(text));
}

void Engine::lose(const Gap& gap, std::string cause, std::string scope) {
  if (!gap.lost || *gap.lost == 0) return;
  watch_.gaps.add(gap);
  watch_.news = true;
  outbox_.lose(std::move(cause), gap.family, std::move(scope), *gap.lost, gap.from_ns, gap.to_ns);
}

void Engine::load(const Earlier& earlier) {
  looks_.load(earlier.slots);
  for (const SlotChange& slot : earlier.slots) {
    if (slot.new_id.empty() || catalog_.match_file(slot.place) != nullptr) continue;
    found_.add_place(slot.scope + std::string(home_of(slot.place)), slot.place);
  }
  holders_.load(earlier.lives);
}

void Engine::adopt(const Holding& holding, const ProcessRef& who) {
  const InstanceRef instance = processes_.instance_of(holding.actor.id, who);
  if (!instance) return;
  holders_.adopt_life(*instance);
  auto [selector_rule, scope] = looks_.adopt(*instance, holding, holders_.stored_scope(*instance, holding));
  holders_.adopt(instance, holding, selector_rule, std::move(scope), catalog_);
  pipes_.adopt(instance);
  // Its selectors and destinations: the sweep does not bring the environment.
  if (!instance->environment_asked) environments_.ask(instance, instance->doubts.life_from_ns);
}

void Engine::on_tick(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  holders_.forget_lives();
  connections_.on_tick(now_ns);
  uses_.weigh_ready(now_ns);
  looks_.on_tick(now_ns);
  environments_.start();
  outbox_.tell_given_up(now_ns);
}

std::uint64_t Engine::settled_ns(std::uint64_t now_ns) const {
  std::uint64_t settled = now_ns;
  for (const std::uint64_t waits : {examinations_.oldest_ns(), uses_.oldest_ns(), connections_.oldest_ns(),
                                    holders_.waits_since_ns(), outbox_.untold_ns()}) {
    if (waits != 0) settled = std::min(settled, waits - 1);
  }
  return settled;
}

Link::Output Engine::take() {
  Link::Output out = outbox_.take();
  if (std::exchange(watch_.news, false)) {
    for (const auto& [tgid, instance] : processes_.live())
      holders_.mark_doubts(instance);
  }
  holders_.sync(out, now_ns_);
  out.slot_changes = looks_.take_changes();
  out.found = found_.take();
  return out;
}

std::map<std::string, std::uint64_t> Engine::counters() const {
  std::map<std::string, std::uint64_t> out = outbox_.counters();
  connections_.count(out);
  out["processes"] = processes_.live().size();
  out["acquisitions_repeated"] = holders_.repeats();
  out["found_over_bound"] = found_.over_bound();
  out["files_forgotten"] = looks_.forgotten();
  out["held_uses"] = uses_.waiting();
  out["examinations"] = examinations_.outstanding();
  out["environments_waiting"] = environments_.waiting();
  return out;
}

void Engine::finish(std::uint64_t now_ns) {
  now_ns_ = UINT64_MAX;  // nothing waits for a later batch
  connections_.finish();
  uses_.finish(now_ns);
  outbox_.tell_given_up(now_ns, true);
}

std::optional<UnseenLives> Engine::unseen(std::uint64_t now_ns) const {
  if (!watch_.swept) return std::nullopt;
  UnseenLives out = unseen_lives(processes_.live(), watch_.gaps.all(), now_ns);
  out.not_followed = processes_.not_followed();
  return out;
}

// The public face: one line each, so that the tables above stay private to this folder.
Link::Link(LinkOptions options, const catalog::Catalog& catalog, Examiner& examiner, const Clock& clock, FateCall fate,
           SameMountNs same_mount_ns)
    : engine_(std::make_unique<Engine>(options, catalog, examiner, clock, std::move(fate), std::move(same_mount_ns))) {}
Link::~Link() = default;
void Link::load(const Earlier& earlier) { engine_->load(earlier); }
void Link::set_armed(Family family, bool armed) { engine_->set_armed(family, armed); }
void Link::set_armed_ns(std::uint64_t armed_ns) { engine_->set_armed_ns(armed_ns); }
void Link::on_event(const Event& event, const ProcessRef& who, const ProcessRef& other) {
  engine_->on_event(event, who, other);
}
void Link::on_tick(std::uint64_t now_boot_ns) { engine_->on_tick(now_boot_ns); }
void Link::adopt(const Holding& holding, const ProcessRef& who) { engine_->adopt(holding, who); }
void Link::gap(std::uint64_t from_boot_ns, std::uint64_t to_boot_ns, std::string cause,
               std::optional<std::uint64_t> lost, std::string family, std::string text) {
  engine_->gap({from_boot_ns, to_boot_ns, lost, std::move(family)}, std::move(cause), std::move(text));
}
void Link::finish(std::uint64_t now_boot_ns) { engine_->finish(now_boot_ns); }
Link::Output Link::take() { return engine_->take(); }
void Link::give_up(std::string cause, std::string family, std::string scope, std::uint64_t count,
                   std::uint64_t time_boot_ns) {
  engine_->give_up(std::move(cause), std::move(family), std::move(scope), count, time_boot_ns);
}
void Link::lose(std::string cause, std::uint64_t count, std::uint64_t from_boot_ns, std::uint64_t to_boot_ns) {
  engine_->count(cause, count);
  engine_->lose({from_boot_ns, to_boot_ns, count, {}}, std::move(cause), {});
}
std::uint64_t Link::settled_ns(std::uint64_t now_boot_ns) const { return engine_->settled_ns(now_boot_ns); }
std::uint64_t Link::untold() const { return engine_->untold(); }
std::map<std::string, std::uint64_t> Link::counters() const { return engine_->counters(); }
std::optional<UnseenLives> Link::unseen(std::uint64_t now_boot_ns) const { return engine_->unseen(now_boot_ns); }

}  // namespace keytrail::link
