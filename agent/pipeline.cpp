// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline.h"

#include <malloc.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <thread>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/workload_facts.h"
#include "agent/decode/decode.h"
#include "agent/identify/proc_reader.h"

namespace keytrail {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1000 * kMs;
constexpr std::uint64_t kFirstTrim = 5 * kSecond, kTrimEvery = 60 * kSecond;

/// Time since boot without the machine's sleep.
std::uint64_t awake_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kSecond + static_cast<std::uint64_t>(now.tv_nsec);
}

SessionBase stored_session(record::History& history) {
  auto earlier = history.earlier();
  return earlier ? std::move(earlier->session) : SessionBase{};
}

/// The agent's; 0: not known.
std::uint32_t own_mount_ns() {
  struct stat own{};
  return ::stat("/proc/self/ns/mnt", &own) == 0 ? static_cast<std::uint32_t>(own.st_ino) : 0;
}

link::LinkOptions link_options(const PipelineOptions& options, const record::History& history) {
  link::LinkOptions out;
  out.goes_on = history.last_batch().wall_ns != 0;
  out.look_every_ms = std::uint64_t{options.slots_s} * 1000;
  out.own_mnt_ns = own_mount_ns();
  return out;
}

}  // namespace

Pipeline::Pipeline(const PipelineOptions& options, boost::asio::io_context& io, capture::Capture capture,
                   examine::RoleLink& roles, record::History& history, const catalog::Catalog& catalog,
                   const Clock& clock)
    : options_(options),
      timer_(io),
      capture_(std::move(capture)),
      roles_(roles),
      history_(history),
      clock_(clock),
      node_users_(roles, [this](identify::UserNames::Names names) { identify_.learn_users(std::move(names)); }),
      sources_(identify::all_sources({options_.identity, roles})),
      session_(roles.session_id(), stored_session(history), history.last_batch().counters),
      link_(
          link_options(options, history), catalog, roles, clock,
          [this](Fate fate, const std::string& reason) { session_.fate(fate, reason); },
          [this, own = own_mount_ns()](std::uint32_t mnt_ns) {
            std::vector<std::uint32_t> others = identify_.same_mount_ns(mnt_ns, 8);
            // When a worker begins, what waits in the rings comes before the sweep: nobody else is known yet.
            if (others.empty() && mnt_ns == own) others.push_back(static_cast<std::uint32_t>(::getpid()));
            return others;
          }),
      judge_(clock, catalog, options_.findings),
      clock_watch_(clock.boot_ns(), clock.wall_ns()) {}

Result<void> Pipeline::start() {
  for (const auto& source : sources_)
    source->start(facts_);
  const auto earlier = history_.earlier();
  if (!earlier) return std::unexpected(earlier.error());
  link_.load(*earlier);
  judge_.load(*earlier);
  for (std::size_t i = 0; i < kFamilies; ++i)
    link_.set_armed(static_cast<Family>(i), false);
  for (const HookReport& hook : roles_.hooks())
    link_.set_armed(hook.family, hook.armed());
  link_.set_armed_ns(roles_.armed_ns());
  hooks_silence_.fill(Silence(clock_.boot_ns()));
  warden_silence_ = Silence(clock_.boot_ns());
  adopt();
  book_restart();
  lost_from_ns_ = watched_ns_;
  roles_.on_notice([this](const examine::WardenNotice& notice) {
    spdlog::warn("{}", base::printable(notice.text));
    stored_notices_.heard(notice.number);
    // Its own restart it has told already, with what the one before it lost.
    if (notice.cause == "worker_restart") return;
    link_.gap(notice.from_ns, notice.to_ns, notice.cause, std::nullopt, notice.family, notice.text);
    notices_.note(clock_.boot_ns(), notice.cause, notice.family, notice.text);
  });
  roles_.on_answer([this](const InstanceId& who, const ExamineAnswer& answer) {
    const auto* environment = std::get_if<EnvironmentAnswer>(&answer);
    if (environment != nullptr && environment->unread.empty())
      identify_.learn_environment(who, environment->env, false);
  });
  if (!roles_.sweep())
    spdlog::warn("the warden did not take the request to sweep; processes older than the agent stay unknown");
  next_sample_ = clock_.boot_ns() + std::uint64_t{options_.sample_s} * kSecond;
  next_trim_ = clock_.boot_ns() + kFirstTrim;
  publish();
  arm();
  return {};
}

// Holdings of processes that still live go on; the others ended while nobody looked.
void Pipeline::adopt() {
  const identify::ProcReader proc("/proc");
  const auto alive = [&](const InstanceId& id) {
    return proc.alive(id.tgid, id.start_ns) != identify::ProcReader::Alive::kNo;
  };
  if (auto gone = history_.retain_holdings(alive); !gone) spdlog::warn("holdings: {}", gone.error().message);
  auto holdings = history_.all_holdings();
  if (!holdings) {
    spdlog::warn("holdings of the last run could not be read: {}", holdings.error().message);
    return;
  }
  for (const Holding& holding : *holdings) {
    // An event of no meaning of its own makes identify look the process up.
    Event event{.head = {.time_ns = clock_.boot_ns(), .who = holding.actor.id}, .body = UnixConnectEvent{}};
    if (const auto identified = identify_.on_event(event); identified.who) link_.adopt(holding, identified.who);
  }
}

// What happened between what the history is settled to and now: workers between may have lived too short to store
// theirs. It is told before anything else is, so that no batch is stored without it.
void Pipeline::book_restart() {
  const record::LastBatch& last = history_.last_batch();
  Beginning at{.now_ns = clock_.boot_ns(),
               .armed_ns = roles_.armed_ns(),
               .settled_ns = last.settled.boot_ns,
               .ended_ns = to_boot(last.wall_ns),
               .has_past = last.wall_ns != 0,
               .same_rings = session_.continued(),
               .later_life = roles_.life() > 1,
               .resumed = roles_.resumed()};
  if (at.resumed) {
    const capture::CaptureRest rest = capture_.rest_before(roles_.started_ns());
    at.beat_ns = rest.last_beat_ns;
    at.read_after = rest.records;
  }
  if (at.same_rings || at.later_life || at.resumed) at.lost = book_loss();
  if (at.same_rings) at.untold = last.counters.untold;
  Restart restart = begin_again(at);
  watched_ns_ = restart.watched_ns;
  drained_ns_ = std::min(watched_ns_, at.armed_ns);
  link_.set_armed_ns(drained_ns_);  // an exec that comes from the old hooks was seen, too
  resume_losses();
  for (RestartGap& gap : restart.gaps)
    link_.gap(gap.from_ns, gap.to_ns, gap.cause, gap.lost, "", std::move(gap.text));
}

// What rows have told of the kernel's losses is not told again. What they have not lies after what is settled.
void Pipeline::resume_losses() {
  if (!session_.continued()) return capture_.losses_begin(watched_ns_);
  capture::FamilyCounters told = capture_.kernel_counters();
  for (std::size_t family = 0; family < kFamilies; ++family) {
    for (auto& [cause, count] : told[family].lost)
      count = session_.told(std::string(to_string(static_cast<Family>(family))), cause);
  }
  capture_.resume_loss(told, watched_ns_);
}

// What workers before this one took from these rings and did not store; nothing: hooks were under way whenever it was
// looked, so that the number may be a few too small.
std::optional<std::uint64_t> Pipeline::book_loss() {
  constexpr int kTries = 100;
  capture::CaptureMoment now = capture_.moment();
  for (int i = 0; i < kTries && !now.exact; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    now = capture_.moment();
  }
  const std::uint64_t lost = session_.book_loss(capture::sent_of(now.counters), now.backlog, "worker_restart");
  return now.exact ? std::optional(lost) : std::nullopt;
}

std::uint64_t Pipeline::to_boot(std::int64_t wall_ns) const {
  const std::int64_t boot = static_cast<std::int64_t>(clock_.boot_ns()) - (clock_.wall_ns() - wall_ns);
  return boot > 0 ? static_cast<std::uint64_t>(boot) : 0;
}

void Pipeline::on_record(std::span<const std::byte> bytes) {
  session_.received();
  auto event = decode::decode(bytes, catalog::kernel_tables().formats, &quic_);
  if (!event) {
    session_.fate(Fate::kDropped, event.error().message);
    ++undecodable_;
    return;
  }
  event->head.from_ring = true;
  if (const auto* beat = std::get_if<HeartbeatEvent>(&event->body)) {
    hooks_silence_[static_cast<std::size_t>(beat->family)].heard(event->head.time_ns);
    beaten_[static_cast<std::size_t>(beat->family)] = true;
  }
  deliver(*event);
}

void Pipeline::deliver(const Event& event) {
  const auto identified = identify_.on_event(event);
  // What it opens is looked at some 20 ms later: then nobody may be left to open it through.
  if (const auto* exec = std::get_if<ExecEvent>(&event.body); exec != nullptr && identify_.is_alone(exec->mnt_ns))
    roles_.keep_mounts(event.head.who, exec->mnt_ns);
  link_.on_event(event, identified.who, identified.child_or_previous);
}

void Pipeline::arm() {
  timer_.expires_after(capture_.next_delay());
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !stopped_) tick();
  });
}

void Pipeline::tick() {
  const std::uint64_t now = clock_.boot_ns();
  const std::size_t drained = capture_.drain(now, [this](std::span<const std::byte> bytes) { on_record(bytes); });
  tell_seen();  // at once: a container may live 50 ms, and its state no longer
  identify_.renew_some();
  if (drained < capture::Capture::kMaxPerDrain) drained_ns_ = now - std::min(now, capture::Capture::kWatermarkNs);
  if (now >= next_flush_) {
    next_flush_ = now + 50 * kMs;
    tell_lost(now);
    tell_given_up(now);
    link_.on_tick(now);
    flush();
    publish_news(now);
  }
  if (now >= next_second_) {
    next_second_ = now + kSecond;
    identify_.expire(now);
    tell_silence(now);
    publish();
  }
  if (now >= next_sample_) {
    next_sample_ = now + std::uint64_t{options_.sample_s} * kSecond;
    roles_.sample_sockets();
  }
  if (now >= next_trim_) {
    next_trim_ = now + kTrimEvery;
    ::malloc_trim(0);  // what the start or a burst took and freed would stay resident; 0.3 to 4 ms
  }
  arm();
}

// Of a record that cannot be read it is not known when it was made: after all that was taken before.
void Pipeline::tell_lost(std::uint64_t now) {
  for (Event& loss : capture_.loss_since_last(now)) {
    auto& whose = std::get<LossEvent>(loss.body);
    whose.workload = identify_.workload_in(loss.head.cgroup_id);
    whose.owner = identify_.owner_of_cgroup(loss.head.cgroup_id);
    deliver(loss);
  }
  const std::uint64_t corrupt = capture_.stats().corrupt;
  const std::uint64_t from = std::exchange(lost_from_ns_, drained_ns_);
  link_.lose("ring_damaged", corrupt - std::exchange(corrupt_, corrupt), from, now);
  link_.lose("undecodable_event", std::exchange(undecodable_, 0), from, now);
}

void Pipeline::tell_given_up(std::uint64_t now) {
  for (const auto& [what, count] : identify_.take_given_up())
    link_.give_up(what.first, {}, what.second, count, now);
  for (const auto& [id, count] : facts_.take_dropped())
    link_.give_up("identity_posts_dropped", {}, identify_.workload_name(id), count, now);
}

// While the warden is silent, or about to be, no heartbeat is made: the hooks are not accused. A family that never beat
// (nothing can be executed from memory here, say) is shown as silent, and makes no gaps.
void Pipeline::tell_silence(std::uint64_t now) {
  if (const auto period = own_stall_.tick(now, awake_ns())) {
    const std::string text =
        "The agent itself did not run: what the rings could not hold is counted, files may be unread.";
    spdlog::warn("{}", text);
    link_.gap(period->from_ns, period->to_ns, "worker_stalled", std::nullopt, "open", text);
    notices_.note(now, "worker_stalled", "open", text);
  }
  if (roles_.asked() != std::exchange(warden_asked_, roles_.asked())) warden_silence_.heard(now);
  if (const auto period = warden_silence_.tick(now)) {
    spdlog::warn("the warden gives no sign: files are not opened for examination");
    link_.gap(period->from_ns, period->to_ns, "warden_silent", std::nullopt, "open");
  }
  for (const HookReport& hook : roles_.hooks()) {
    Silence& silence = hooks_silence_[static_cast<std::size_t>(hook.family)];
    constexpr unsigned kBetweenQuestions = 2;
    if (warden_silence_.is_silent() || !hook.armed()) silence.heard(now);
    if (warden_silence_.is_silent() || !hook.armed() || warden_silence_.seconds() > kBetweenQuestions) continue;
    const auto period = silence.tick(now);
    if (period && beaten_[static_cast<std::size_t>(hook.family)]) {
      spdlog::warn("no heartbeat comes through the hooks of {}: nothing may be seen", to_string(hook.family));
      link_.gap(period->from_ns, period->to_ns, "hook_silent", std::nullopt, std::string(to_string(hook.family)));
    }
  }
}

void Pipeline::tell_seen() {
  for (const WorkloadSeen& one : identify_.take_first_seen()) {
    for (const auto& source : sources_)
      source->on_workload(one);
  }
}

std::vector<WorkloadFacts> Pipeline::learn_facts(const std::vector<TokenTold>& told) {
  node_users_.on_turn(clock_.boot_ns());
  tell_seen();
  for (const auto& source : sources_) {
    for (const TokenTold& one : told)
      source->on_token(one);
    source->on_turn(clock_.boot_ns());
  }
  for (WorkloadFacts& facts : facts_.take())
    facts.id == kThisMachine ? learn_machine(std::move(facts.facts)) : identify_.learn_facts(std::move(facts));
  return identify_.take_facts();
}

void Pipeline::learn_machine(std::vector<Fact> facts) {
  std::vector<Fact> known = *machine_;
  for (Fact& fact : facts)
    (void)base::join_fact(known, std::move(fact));
  const std::scoped_lock lock(mutex_);
  machine_ = std::make_shared<const std::vector<Fact>>(std::move(known));
}

std::shared_ptr<const std::vector<Fact>> Pipeline::machine() const {
  const std::scoped_lock lock(mutex_);
  return machine_;
}

void Pipeline::note_told(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const auto* gap = std::get_if<GapRow>(&row.body);
    if (gap != nullptr && gap->lost && capture::is_kernel_loss(gap->cause))
      session_.told(gap->family, gap->cause, *gap->lost);
  }
}

void Pipeline::flush() {
  auto out = link_.take();
  watch(std::move(out.found));
  note_told(out.rows);
  Batch batch{.rows = std::move(out.rows),
              .uses = std::move(out.uses),
              .touches = std::move(out.touches),
              .readers = std::move(out.readers),
              .children = std::move(out.children),
              .holdings = std::move(out.holdings),
              .workloads = learn_facts(out.told),
              .lives = std::move(out.lives),
              .slot_changes = std::move(out.slot_changes),
              .counters = session_.totals()};
  // In wall time: of the clock before the step too.
  const std::int64_t wall = clock_.wall_ns();
  if (auto step = clock_watch_.look(clock_.boot_ns(), wall))
    batch.rows.push_back({.time_ns = wall, .observed_ns = wall, .body = *std::move(step)});
  judge_.on_batch(batch);
  batch.watched = watched();
  batch.counters.untold = link_.untold();
  if (!std::exchange(session_stored_, true)) batch.session = session_.base();
  history_.submit(std::move(batch));
  if (const auto numbers = history_.batches()) {
    if (const auto stored = stored_notices_.look(*numbers)) roles_.note_stored(*stored);
  }
}

// Follows the one before without a hole: what a batch does not settle yet a later one does. Nothing is settled while
// more comes than is drained.
std::optional<Watched> Pipeline::watched() {
  const std::uint64_t settled = link_.settled_ns(drained_ns_);
  if (settled <= watched_ns_) return std::nullopt;
  Watched out{.from_boot_ns = watched_ns_,
              .to_boot_ns = settled,
              .from_ns = clock_.to_wall(watched_ns_),
              .to_ns = clock_.to_wall(settled)};
  for (const HookReport& hook : roles_.hooks()) {
    const auto family = static_cast<std::size_t>(hook.family);
    const bool blind =
        hooks_silence_[family].is_silent() || (warden_silence_.is_silent() && hook.family == Family::kOpen);
    if (hook.armed() && !blind) out.families |= 1U << family;
  }
  watched_ns_ = settled;
  return out;
}

// What the warden does not take now it gets with the next batch; of more than the kernel side has room for, the last.
void Pipeline::watch(std::vector<FoundPlace> found) {
  constexpr std::size_t kMost = 16'384;
  std::ranges::move(found, std::back_inserter(found_));
  if (found_.size() > kMost) found_.erase(found_.begin(), found_.end() - std::ptrdiff_t{kMost});
  const auto left = std::ranges::find_if_not(found_, [&](const FoundPlace& one) { return roles_.watch_found(one); });
  found_.erase(found_.begin(), left);
}

void Pipeline::stop() {
  if (std::exchange(stopped_, true)) return;
  timer_.cancel();
  const std::uint64_t now = clock_.boot_ns();
  if (capture_.drain(UINT64_MAX, [this](std::span<const std::byte> bytes) { on_record(bytes); }) <
      capture::Capture::kMaxPerDrain)
    drained_ns_ = now;
  tell_lost(now);
  tell_given_up(now);
  link_.finish(now);
  flush();
  publish();
}

}  // namespace keytrail
