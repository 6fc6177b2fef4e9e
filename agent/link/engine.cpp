// SPDX-License-Identifier: Apache-2.0
#include "agent/link/engine.h"

#include <utility>

namespace keytrail::link {

Engine::Engine(LinkOptions options, const catalog::Catalog& catalog, Examiner& examiner, const Clock& clock, Link::FateCall fate,
               Link::SameMountNs same_mount_ns)
    : options_(options),
      catalog_(catalog),
      examiner_(examiner),
      clock_(clock),
      fate_(std::move(fate)),
      same_mount_ns_(std::move(same_mount_ns)),
      connections_(options.max_connections),
      datagrams_(options.max_datagrams),
      names_(options.max_names, options.dns_name_s),
      index_(options.max_news),
      acquisitions_(options.max_news),
      slots_(options.max_files),
      answered_(options.max_answers),
      gaps_(options.max_gaps) {}

Engine::~Engine() {
  // Who waits and what is waited for own each other until the answer comes, and none will.
  for (const auto& examination : unanswered_) {
    for (const auto& receiver : examination->receivers)
      receiver.instance->pending.clear();
    examination->receivers.clear();
  }
}

void Engine::settle(bool from_ring, Fate fate, const std::string& reason) {
  if (from_ring && fate_) fate_(fate, reason);
}

void Engine::on_event(const Event& event, const ProcessRef& who, const ProcessRef& other) {
  last_event_ns_ = std::max(last_event_ns_, event.head.time_ns);
  switch (on_body(event, who, other)) {
    case Done::kAbsorbed:
      settle(event.head.from_ring, Fate::kAbsorbed);
      break;
    case Done::kRecorded:
      settle(event.head.from_ring, Fate::kRecorded);
      break;
    case Done::kDropped:
      settle(event.head.from_ring, Fate::kDropped, drop_reason_);
      break;
    case Done::kLater:
      break;
  }
}

Engine::Done Engine::on_body(const Event& event, const ProcessRef& who, const ProcessRef& other) {
  const EventHead& head = event.head;
  if (const auto* fork = std::get_if<ForkEvent>(&event.body)) return on_fork(*fork, head, who, other);
  if (const auto* exec = std::get_if<ExecEvent>(&event.body)) return on_exec(*exec, head, who);
  if (std::holds_alternative<ExitEvent>(event.body)) return on_exit(head);
  if (const auto* open = std::get_if<OpenEvent>(&event.body)) return on_open(*open, head, who);
  if (const auto* connect = std::get_if<ConnectEvent>(&event.body)) return on_connect(*connect, head, who);
  if (const auto* socket = std::get_if<SocketEvent>(&event.body)) return on_socket(*socket, head);
  if (const auto* payload = std::get_if<PayloadEvent>(&event.body)) return on_payload(*payload, head, who);
  if (const auto* dns = std::get_if<DnsEvent>(&event.body)) {
    const InstanceRef asker = head.who.tgid != 0 ? instance_of(head.who, who) : nullptr;
    if (names_.learn(*dns, head.time_ns, asker.get()) && asker->synced) mark_dirty(asker);
    return Done::kAbsorbed;
  }
  if (const auto* local = std::get_if<UnixConnectEvent>(&event.body)) return on_unix(*local, head, who);
  if (std::holds_alternative<TaskEvent>(event.body)) return on_task(head, who);
  if (const auto* done = std::get_if<BaselineDoneEvent>(&event.body)) {
    if (armed_ns_ == 0) armed_ns_ = done->armed_ns;
    // A row for people. The closed world needs no gap of it: whoever ran before has no exec that was seen.
    emit_gap({0, done->armed_ns, std::nullopt, {}}, "baseline");
    return Done::kRecorded;
  }
  if (const auto* loss = std::get_if<LossEvent>(&event.body)) {
    gap(loss->from_ns, head.time_ns, loss->cause, loss->count, keytrail::to_string(loss->family));
    return Done::kRecorded;
  }
  return Done::kAbsorbed;
}

void Engine::gap(std::uint64_t from_ns, std::uint64_t to_ns, std::string cause, std::optional<std::uint64_t> lost, std::string family) {
  const Gap what{from_ns, to_ns, lost, std::move(family)};
  gaps_.add(what);
  emit_gap(what, std::move(cause));
}

void Engine::emit_gap(const Gap& gap, std::string cause) {
  const std::optional<std::uint64_t>& lost = gap.lost;
  GapRow row;
  row.text = cause == "baseline" ? "What happened before the agent was armed is known only as far as the sweep at start found it."
             : lost              ? std::to_string(*lost) + " events were lost."
                                 : "An unknown number of events may be missing.";
  row.cause = std::move(cause);
  row.family = gap.family;
  row.from_ns = clock_.to_wall(gap.from_ns);
  row.to_ns = clock_.to_wall(gap.to_ns);
  row.lost = lost;
  Row out;
  out.time_ns = row.to_ns;
  out.observed_ns = clock_.wall_ns();
  out.body = std::move(row);
  emit(std::move(out));
}

void Engine::load_state(const std::map<std::string, std::string>& state) {
  slots_.load(state);
  for (const auto& [name, value] : state) {
    if (name.starts_with("life:") && lives_.size() < options_.max_processes) lives_[name] = value;
  }
}

void Engine::on_tick(std::uint64_t now_ns) {
  // Whoever was not adopted before the first tick has ended meanwhile.
  for (const auto& [name, value] : lives_)
    state_[name] = "";
  lives_.clear();
  judge_ready(now_ns);
  if (now_ns >= last_look_ns_ + options_.look_every_ms * 1'000'000U) {
    last_look_ns_ = now_ns;
    queue_looks(now_ns);
  }
  start_looks();
  start_environments();
}

void Engine::finish(std::uint64_t now_ns) { judge_ready(now_ns, true); }

Link::Output Engine::take() {
  sync_holdings();
  Link::Output out;
  out.rows.swap(rows_);
  out.uses.swap(uses_);
  out.touches.swap(touches_);
  out.holdings.swap(holding_changes_);
  out.state = slots_.take_state();
  out.state.merge(state_);
  state_.clear();
  return out;
}

std::map<std::string, std::uint64_t> Engine::counters() const {
  std::map<std::string, std::uint64_t> out = counters_;
  out["processes"] = live_.size();
  out["connections"] = connections_.size();
  out["connections_forgotten"] = connections_.evicted();
  out["datagrams"] = datagrams_.size();
  out["datagrams_forgotten"] = datagrams_.evicted();
  out["acquisitions_repeated"] = acquisitions_.repeats();
  out["files_forgotten"] = slots_.forgotten();
  out["held_uses"] = held_uses_.size();
  out["examinations"] = examinations_;
  out["environments_waiting"] = environment_queue_.size();
  return out;
}

// The public face: one line each, so that the tables above stay private to this folder.
Link::Link(LinkOptions options, const catalog::Catalog& catalog, Examiner& examiner, const Clock& clock, FateCall fate,
           SameMountNs same_mount_ns)
    : engine_(std::make_shared<Engine>(options, catalog, examiner, clock, std::move(fate), std::move(same_mount_ns))) {}
Link::~Link() = default;
void Link::load_state(const std::map<std::string, std::string>& state) { engine_->load_state(state); }
void Link::set_armed(Family family, bool armed) { engine_->set_armed(family, armed); }
void Link::set_armed_ns(std::uint64_t armed_ns) { engine_->set_armed_ns(armed_ns); }
void Link::on_event(const Event& event, const ProcessRef& who, const ProcessRef& other) { engine_->on_event(event, who, other); }
void Link::on_tick(std::uint64_t now_boot_ns) { engine_->on_tick(now_boot_ns); }
void Link::adopt(const Holding& holding, const ProcessRef& who) { engine_->adopt(holding, who); }
void Link::gap(std::uint64_t from_boot_ns, std::uint64_t to_boot_ns, std::string cause, std::optional<std::uint64_t> lost,
               std::string family) {
  engine_->gap(from_boot_ns, to_boot_ns, std::move(cause), lost, std::move(family));
}
void Link::finish(std::uint64_t now_boot_ns) { engine_->finish(now_boot_ns); }
Link::Output Link::take() { return engine_->take(); }
std::map<std::string, std::uint64_t> Link::counters() const { return engine_->counters(); }

}  // namespace keytrail::link
