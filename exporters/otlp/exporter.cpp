// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/exporter.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <random>
#include <utility>

#include "agent/base/log.h"

namespace keytrail::otlp {

using std::chrono::milliseconds;

namespace {

bool is_wanted(const base::OtlpConfig& config, const Signal& signal) {
  return std::ranges::find(config.signals, signal.name) != config.signals.end();
}

bool any_of_rows(const base::OtlpConfig& config) {
  return std::ranges::any_of(signals(),
                             [&](const Signal& signal) { return signal.of_rows && is_wanted(config, signal); });
}

}  // namespace

Exporter::Exporter(base::OtlpConfig config, RowQueue& queue, const Clock& clock, Sender sender, ExporterTuning tuning,
                   MetricSource* metrics)
    : config_(std::move(config)),
      queue_(queue),
      clock_(clock),
      sender_(std::move(sender)),
      tuning_(std::move(tuning)),
      metrics_(metrics),
      rows_wanted_(any_of_rows(config_)),
      request_max_(tuning_.request_max) {}

Exporter::~Exporter() { stop(); }

Result<void> Exporter::start() {
  auto transport = make_transport({config_, clock_, tuning_.folder});
  if (!transport) return fail(transport.error().code, "exporter " + config_.name + ": " + transport.error().message);
  if (rows_wanted_) {
    if (Result<void> opened = queue_.open(config_.name, config_.from_start); !opened) return opened;
  }
  transport_ = std::move(*transport);
  builder_ = std::make_unique<SpanBuilder>(queue_.history_id(), queue_.epochs(), tuning_.services);
  set_text("idle");
  try {
    thread_ = std::thread([this] {
      try {
        run();
      } catch (const std::exception& error) {
        spdlog::error("exporter {}: {}", config_.name, base::printable(error.what()));
        set_text("stopped: internal error");
      }
    });
  } catch (const std::system_error& error) {
    return fail(Error::Code::kSystem, std::string("the exporter's thread cannot be started: ") + error.what());
  }
  return {};
}

void Exporter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (transport_) transport_->cancel();
  if (thread_.joinable()) {
    thread_.join();
    set_text("stopped");
  }
}

void Exporter::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

ExporterState Exporter::state() {
  ExporterState state{.name = config_.name, .endpoint = config_.endpoint};
  if (!config_.source.empty()) state.endpoint += " (from " + config_.source + ")";
  {
    const std::lock_guard lock(mutex_);
    state.text = text_;
    state.last_error = last_error_;
    state.last_error_ns = last_error_ns_;
    state.last_ok_ns = last_ok_ns_;
    state.retries = retries_;
    if (oldest_ns_ != 0) state.lag_ns = std::max<std::int64_t>(clock_.wall_ns() - oldest_ns_, 0);
  }
  if (Result<ExportCounters> counters = queue_.counters(config_.name)) state.counters = *counters;
  return state;
}

void Exporter::set_text(std::string text) {
  const std::lock_guard lock(mutex_);
  text_ = std::move(text);
}

void Exporter::set_settled_text(const char* otherwise) {
  std::string text = refused_.empty() ? otherwise : refused_.begin()->second;
  if (builder_->others() != 0) {
    text += fmt::format("; {} records under service.name {}: more than {} names", builder_->others(), kOtherService,
                        tuning_.services);
  }
  set_text(std::move(text));
}

void Exporter::note_accepted() {
  const std::lock_guard lock(mutex_);
  last_ok_ns_ = clock_.wall_ns();
}

void Exporter::set_oldest(std::int64_t observed_ns) {
  const std::lock_guard lock(mutex_);
  oldest_ns_ = observed_ns;
}

void Exporter::warn(const std::string& text) {
  {
    const std::lock_guard lock(mutex_);
    last_error_ = text;
    last_error_ns_ = clock_.wall_ns();
  }
  if (text == last_warning_) return;  // a collector that is down says the same each second
  last_warning_ = text;
  spdlog::warn("exporter {}: {}", config_.name, text);
}

bool Exporter::pause(milliseconds time, bool wakeable) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [&] { return stopping_ || (wakeable && woken_); });
  if (wakeable) woken_ = false;
  return !stopping_;
}

milliseconds Exporter::backoff(unsigned attempt, const std::optional<std::chrono::seconds>& asked) const {
  const auto grown = std::min(tuning_.backoff_max, tuning_.backoff_first * (1U << std::min(attempt, 16U)));
  static thread_local std::minstd_rand random{std::random_device{}()};
  // Half of it is chance, so that a thousand agents do not come back in the same second.
  std::uniform_int_distribution<std::int64_t> jitter(0, std::max<std::int64_t>(grown.count() / 2, 1));
  const milliseconds wait(grown.count() / 2 + jitter(random));
  return asked ? std::max<milliseconds>(*asked + milliseconds(jitter(random) / 4), wait) : wait;
}

void Exporter::run() {
  while (pause(milliseconds(0), false)) {
    if (!send_metrics()) return;
    Result<std::vector<Row>> rows;
    if (rows_wanted_) rows = queue_.read(config_.name, 0, tuning_.rows);
    if (!rows) {
      warn("the history cannot be read: " + base::printable(rows.error().message));
      set_text("history: " + base::printable(rows.error().message));
      if (!pause(tuning_.poll, false)) return;
      continue;
    }
    if (rows->empty()) {
      set_oldest(0);
      set_settled_text("idle");
      if (!pause(tuning_.poll, true)) return;
      continue;
    }
    if (!std::exchange(resumed_, true)) {
      resume(rows->front());
      builder_->forget_others();  // an earlier run counted them
    }
    const std::vector<Place> places = builder_->place(*rows);
    if (!export_rows({*rows, places})) return;
  }
}

// What an earlier run sent is placed once more, so that what follows joins its traces instead of beginning others. Only
// what this collector got: a span must not have a parent that was never sent.
void Exporter::resume(const Row& first) {
  constexpr std::uint64_t kRowsMax = 32'768;
  constexpr std::int64_t kReachNs = 3 * SpanBuilder::kAgeNs;
  const Result<ExportCounters> counters = queue_.counters(config_.name);
  if (!counters) return;
  const std::uint64_t sent = std::min({counters->acknowledged + counters->rejected, first.seq - 1, kRowsMax});
  std::uint64_t back = std::min<std::uint64_t>(sent, 512);
  while (back < sent) {
    const auto probe = queue_.read_any(first.seq - 1 - back, 1);
    if (!probe || probe->empty() || probe->front().observed_ns < first.observed_ns - kReachNs) break;
    back = std::min(sent, 2 * back);
  }
  std::uint64_t after = first.seq - 1 - back;
  while (after + 1 < first.seq) {
    auto rows = queue_.read_any(after, std::min<std::uint64_t>(first.seq - 1 - after, tuning_.rows));
    if (!rows) return;
    std::erase_if(*rows, [&first](const Row& row) { return row.seq >= first.seq; });
    if (rows->empty()) return;
    after = rows->back().seq;
    (void)builder_->place(*rows);
  }
}

// Sent once and not again: the next ones say more.
bool Exporter::send_metrics() {
  const auto now = std::chrono::steady_clock::now();
  if (metrics_ == nullptr || now < next_metrics_) return true;
  if (std::ranges::find(config_.signals, "metrics") == config_.signals.end()) return true;
  next_metrics_ = now + std::chrono::seconds(config_.metrics_s);
  const std::vector<Metric> all = metrics_->collect();
  for (const Request& request : build({.sender = sender_, .metrics = all, .now_ns = clock_.wall_ns()})) {
    const Answer answer = transport_->send(request.signal, *request.message);
    if (answer.kind == Answer::Kind::kCancelled) return false;
    if (answer.kind == Answer::Kind::kAccepted) {
      note_accepted();
      refused_.erase(request.signal.name);
      if (!answer.text.empty()) warn(answer.text);
    } else {
      warn(fmt::format("{} were not taken: {}", request.signal.name, answer.text));
      refused_[request.signal.name] = (answer.kind == Answer::Kind::kRetry ? "retrying: " : "refused: ") + answer.text;
    }
    set_settled_text("ok");
  }
  return true;
}

bool Exporter::export_rows(Run run) {
  refused_size_ = SIZE_MAX;
  std::size_t take = run.rows.size();
  while (!run.rows.empty()) {
    take = std::min(take, run.rows.size());
    set_oldest(run.rows.front().observed_ns);
    const Run now = run.part(0, take);
    const std::vector<Request> requests = build({.sender = sender_, .rows = now.rows, .places = now.places});
    const auto too_large = [this](const Request& one) { return one.message->ByteSizeLong() > request_max_; };
    // One row that is too large alone is sent all the same: whether it is, the collector decides.
    if (take > 1 && std::ranges::any_of(requests, too_large)) {
      take /= 2;
      continue;
    }
    std::uint64_t rejected = 0;
    for (const Request& request : requests) {
      const auto refused = deliver(request, now);
      if (!refused) return false;
      rejected = std::max(rejected, *refused);  // a row is refused once, by whichever signal
    }
    if (!settle(now.rows.back().seq, rejected)) return false;
    run = run.part(take, run.rows.size() - take);
  }
  return true;
}

std::vector<Exporter::Request> Exporter::build(const Material& from) const {
  std::vector<Request> out;
  for (const Signal& signal : signals()) {
    if (!is_wanted(config_, signal)) continue;
    if (std::unique_ptr<Message> message = signal.build(from)) out.push_back({signal, std::move(message)});
  }
  return out;
}

std::optional<std::uint64_t> Exporter::deliver(const Request& request, Run run) {
  const Signal& signal = request.signal;
  const Answer answer = send(request);
  if (answer.kind == Answer::Kind::kCancelled) return std::nullopt;
  if (answer.kind == Answer::Kind::kAccepted) {
    if (!answer.text.empty()) warn(answer.text);
    if (answer.text.empty()) last_warning_.clear();
    note_accepted();
    refused_.erase(signal.name);
    unfit_in_a_row_.erase(signal.name);
    learn_limit(request.message->ByteSizeLong());
    set_settled_text("ok");
    return std::min<std::uint64_t>(answer.rejected, run.rows.size());
  }
  if (is_worth_halving(request, answer, run.rows.size())) return deliver_halves(signal, run);
  const std::string which = run.rows.size() == 1 ? fmt::format("row {} is", run.rows.front().seq)
                                                 : fmt::format("{} rows are", run.rows.size());
  warn(fmt::format("{} were refused: {}; {} counted as rejected", signal.name, answer.text, which));
  refused_[signal.name] = "refused: " + answer.text;
  set_settled_text("ok");
  return run.rows.size();
}

// A collector that takes nothing at all is not asked about each row: after so many refusals without one part that was
// taken, requests are refused whole until one is taken again.
bool Exporter::is_worth_halving(const Request& request, const Answer& answer, std::size_t rows) {
  if (answer.kind != Answer::Kind::kUnfit) return false;
  if (answer.too_large) refused_size_ = std::min(refused_size_, request.message->ByteSizeLong());
  unsigned& unfit = unfit_in_a_row_[request.signal.name];
  if (unfit < tuning_.unfit_in_a_row) ++unfit;
  return rows > 1 && unfit < tuning_.unfit_in_a_row;
}

bool Exporter::takes_none(const Signal& signal) { return unfit_in_a_row_[signal.name] >= tuning_.unfit_in_a_row; }

void Exporter::learn_limit(std::size_t taken) {
  constexpr unsigned kBeforeMore = 64;
  if (taken < refused_size_ && refused_size_ != SIZE_MAX) {
    request_max_ = std::min(request_max_, std::max(taken, refused_size_ / 2));
    taken_at_limit_ = 0;
  } else if (request_max_ < tuning_.request_max && ++taken_at_limit_ >= kBeforeMore) {
    request_max_ = std::min(tuning_.request_max, 2 * request_max_);
    taken_at_limit_ = 0;
  }
}

std::optional<std::uint64_t> Exporter::deliver_halves(const Signal& signal, Run run) {
  const std::size_t half = run.rows.size() / 2;
  std::uint64_t refused = 0;
  for (const Run& part : {run.part(0, half), run.part(half, run.rows.size() - half)}) {
    Request request{signal, signal.build({.sender = sender_, .rows = part.rows, .places = part.places})};
    if (!request.message) continue;
    const bool too_large =
        part.rows.size() > 1 && request.message->ByteSizeLong() > request_max_ && !takes_none(signal);
    const auto more = too_large ? deliver_halves(signal, part) : deliver(request, part);
    if (!more) return std::nullopt;
    refused += *more;
  }
  return refused;
}

Answer Exporter::send(const Request& request) {
  for (unsigned attempt = 0;; ++attempt) {
    Answer answer = transport_->send(request.signal, *request.message);
    if (answer.kind != Answer::Kind::kRetry) return answer;
    warn(fmt::format("{} will be sent again: {}", request.signal.name, answer.text));
    set_text("retrying: " + answer.text);
    {
      const std::lock_guard lock(mutex_);
      ++retries_;
    }
    if (!pause(backoff(attempt, answer.retry_after), false)) return {.kind = Answer::Kind::kCancelled};
  }
}

// The collector has the rows: until the cursor says so durably nothing else is sent, or a restart would send it again.
bool Exporter::settle(std::uint64_t up_to, std::uint64_t rejected) {
  while (true) {
    const Result<void> settled = queue_.settle(config_.name, up_to, rejected);
    if (settled) return true;
    warn("the cursor cannot be moved: " + base::printable(settled.error().message));
    set_text("history: " + base::printable(settled.error().message));
    if (!pause(tuning_.poll, false)) return false;
  }
}

}  // namespace keytrail::otlp
