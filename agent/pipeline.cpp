// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <iterator>
#include <utility>

#include "agent/base/log.h"
#include "agent/decode/decode.h"
#include "agent/identify/proc_reader.h"

namespace keytrail {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1000 * kMs;

std::uint64_t sent_of(const capture::FamilyCounters& counters) {
  std::uint64_t sum = 0;
  for (const KernelCounters& family : counters)
    sum += family.sent;
  return sum;
}

SessionBase stored_session(record::History& history) {
  auto earlier = history.earlier();
  return earlier ? std::move(earlier->session) : SessionBase{};
}

link::LinkOptions link_options(const PipelineOptions& options) {
  link::LinkOptions out;
  out.look_every_ms = std::uint64_t{options.slots_s} * 1000;
  if (struct stat own{}; stat("/proc/self/ns/mnt", &own) == 0) out.own_mnt_ns = static_cast<std::uint32_t>(own.st_ino);
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
      session_(roles.session_id(), stored_session(history), history.last_batch().counters),
      link_(
          link_options(options), catalog, roles, clock,
          [this](Fate fate, const std::string& reason) { session_.fate(fate, reason); },
          [this](std::uint32_t mnt_ns) { return identify_.same_mount_ns(mnt_ns, 8); }),
      judge_(clock, catalog, options_.findings) {}

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
  roles_.on_notice([this](const examine::WardenNotice& notice) {
    spdlog::warn("{}", base::printable(notice.text));
    // Its own restart it has told already, with what the one before it lost.
    if (notice.cause != "worker_restart") link_.gap(notice.from_ns, notice.to_ns, notice.cause, std::nullopt, "open");
  });
  roles_.on_answer([this](const InstanceId& who, const ExamineAnswer& answer) {
    const auto* environment = std::get_if<EnvironmentAnswer>(&answer);
    if (environment != nullptr && environment->unread.empty())
      identify_.learn_environment(who, environment->env, false);
  });
  if (!roles_.sweep())
    spdlog::warn("the warden did not take the request to sweep; processes older than the agent stay unknown");
  next_sample_ = clock_.boot_ns() + std::uint64_t{options_.sample_s} * kSecond;
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

// What happened between the last batch in the history and now. A gap begins where the history ends: workers between may
// have lived too short to store theirs. It is told before anything else is, so that no batch is stored without it.
void Pipeline::book_restart() {
  const std::uint64_t now = clock_.boot_ns();
  const record::LastBatch& last = history_.last_batch();
  if (session_.continued() || roles_.life() > 1) {
    capture::FamilyCounters counters = capture_.kernel_counters();
    std::size_t backlog = capture_.backlog();
    for (int i = 0; i < 100; ++i) {  // both must be of one moment
      const auto again = capture_.kernel_counters();
      if (sent_of(again) == sent_of(counters)) break;
      counters = again;
      backlog = capture_.backlog();
    }
    const std::uint64_t lost = session_.book_loss(sent_of(counters), backlog, "worker_restart");
    return link_.gap(last.wall_ns != 0 ? to_boot(last.wall_ns) : roles_.armed_ns(), now, "worker_restart", lost, "");
  }
  if (last.wall_ns != 0)
    link_.gap(to_boot(last.wall_ns), std::max(now, roles_.armed_ns()), "agent_restart", std::nullopt, "");
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
  capture_.drain(now, [this](std::span<const std::byte> bytes) { on_record(bytes); });
  if (now >= next_flush_) {
    next_flush_ = now + 50 * kMs;
    for (const Event& loss : capture_.loss_since_last(now))
      deliver(loss);
    link_.on_tick(now);
    flush();
    publish();
  }
  if (now >= next_second_) {
    next_second_ = now + kSecond;
    identify_.expire(now);
    tell_silence(now);
  }
  if (now >= next_sample_) {
    next_sample_ = now + std::uint64_t{options_.sample_s} * kSecond;
    roles_.sample_sockets();
  }
  arm();
}

// While the warden is silent, or about to be, no heartbeat is made: the hooks are not accused. A family that never beat
// (nothing can be executed from memory here, say) is shown as silent, and makes no gaps.
void Pipeline::tell_silence(std::uint64_t now) {
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

std::vector<WorkloadFacts> Pipeline::learn_facts(const std::vector<TokenTold>& told) {
  for (const auto& source : sources_) {
    for (const TokenTold& one : told)
      source->on_token(one);
  }
  for (WorkloadFacts& facts : facts_.take())
    identify_.learn_facts(std::move(facts));
  return identify_.take_facts();
}

void Pipeline::count_identity(std::map<std::string, std::uint64_t>& out) const {
  const identify::WorkloadStats& stats = identify_.workload_stats();
  out["facts_over_bound"] = stats.facts_refused;
  out["workloads_over_bound"] = stats.over_bound;
  out["identity_posts_dropped"] = facts_.dropped();
  for (const auto& source : sources_)
    out.merge(source->counters());
}

void Pipeline::flush() {
  auto out = link_.take();
  watch(std::move(out.found));
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
  judge_.on_batch(batch);
  if (!std::exchange(session_stored_, true)) batch.session = session_.base();
  history_.submit(std::move(batch));
}

// What the warden does not take now it gets with the next batch; of more than the kernel side has room for, the last.
void Pipeline::watch(std::vector<FoundPlace> found) {
  constexpr std::size_t kMost = 16'384;
  std::ranges::move(found, std::back_inserter(found_));
  if (found_.size() > kMost) found_.erase(found_.begin(), found_.end() - std::ptrdiff_t{kMost});
  const auto left = std::ranges::find_if_not(found_, [&](const FoundPlace& one) { return roles_.watch_found(one); });
  found_.erase(found_.begin(), left);
}

void Pipeline::publish() {
  PipelineSnapshot next;
  next.kernel = capture_.kernel_counters();
  std::size_t backlog = capture_.backlog();
  for (int i = 0; i < 3; ++i) {
    auto again = capture_.kernel_counters();
    const bool same = sent_of(again) == sent_of(next.kernel);
    next.kernel = std::move(again);
    if (same) break;
    backlog = capture_.backlog();
  }
  next.worker = session_.since_armed();
  next.in_flight = backlog + session_.pending();
  next.tracking = link_.counters();
  count_identity(next.tracking);
  for (std::size_t i = 0; i < kFamilies; ++i)
    next.silent[i] = hooks_silence_[i].is_silent();
  next.warden_silent = warden_silence_.is_silent();
  next.roles = roles_.processes();
  const std::scoped_lock lock(mutex_);
  snapshot_ = std::move(next);
}

PipelineSnapshot Pipeline::snapshot() const {
  const std::scoped_lock lock(mutex_);
  return snapshot_;
}

std::shared_ptr<const UnseenLives> Pipeline::unseen() {
  auto made = std::make_shared<std::promise<std::shared_ptr<const UnseenLives>>>();
  auto got = made->get_future();
  boost::asio::post(timer_.get_executor(), [this, made] {
    auto lives = link_.unseen(clock_.boot_ns());
    made->set_value(lives ? std::make_shared<const UnseenLives>(*std::move(lives)) : nullptr);
  });
  return got.wait_for(std::chrono::seconds(1)) == std::future_status::ready ? got.get() : nullptr;
}

void Pipeline::stop() {
  if (std::exchange(stopped_, true)) return;
  timer_.cancel();
  const std::uint64_t now = clock_.boot_ns();
  capture_.drain(UINT64_MAX, [this](std::span<const std::byte> bytes) { on_record(bytes); });
  link_.finish(now);
  flush();
  publish();
}

}  // namespace keytrail
