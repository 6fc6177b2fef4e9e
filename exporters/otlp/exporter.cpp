// SPDX-License-Identifier: Apache-2.0
#include "exporters/otlp/exporter.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <random>

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
      rows_wanted_(any_of_rows(config_)) {}

Exporter::~Exporter() { stop(); }

Result<void> Exporter::start() {
  auto transport = make_transport({config_, clock_, tuning_.folder});
  if (!transport) return fail(transport.error().code, "exporter " + config_.name + ": " + transport.error().message);
  if (rows_wanted_) {
    if (Result<void> opened = queue_.open(config_.name, config_.from_start); !opened) return opened;
  }
  transport_ = std::move(*transport);
  builder_ = std::make_unique<SpanBuilder>(queue_.history_id());
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
  set_text(refused_.empty() ? otherwise : refused_.begin()->second);
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
    const std::vector<Place> places = builder_->place(*rows);
    if (!export_rows(*rows, places)) return;
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
      refused_[request.signal.name] =
          (answer.kind == Answer::Kind::kRefused ? "refused: " : "retrying: ") + answer.text;
    }
    set_settled_text("ok");
  }
  return true;
}

bool Exporter::export_rows(std::span<const Row> rows, std::span<const Place> places) {
  std::size_t take = rows.size();
  while (!rows.empty()) {
    take = std::min(take, rows.size());
    set_oldest(rows.front().observed_ns);
    const std::vector<Request> requests =
        build({.sender = sender_, .rows = rows.first(take), .places = places.first(take)});
    const auto too_large = [this](const Request& one) { return one.message->ByteSizeLong() > tuning_.request_max; };
    // One row that is too large alone is sent all the same: whether it is, the collector decides.
    if (take > 1 && std::ranges::any_of(requests, too_large)) {
      take /= 2;
      continue;
    }
    std::uint64_t rejected = 0;
    for (const Request& request : requests) {
      const auto refused = deliver(request.signal, *request.message, take);
      if (!refused) return false;
      rejected = std::max(rejected, *refused);  // a row is refused once, by whichever signal
    }
    if (!settle(rows[take - 1].seq, rejected)) return false;
    rows = rows.subspan(take);
    places = places.subspan(take);
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

std::optional<std::uint64_t> Exporter::deliver(const Signal& signal, const Message& message, std::uint64_t records) {
  for (unsigned attempt = 0;; ++attempt) {
    const Answer answer = transport_->send(signal, message);
    switch (answer.kind) {
      case Answer::Kind::kAccepted:
        if (!answer.text.empty()) warn(answer.text);
        if (answer.text.empty()) last_warning_.clear();
        note_accepted();
        refused_.erase(signal.name);
        set_settled_text("ok");
        return std::min(answer.rejected, records);
      case Answer::Kind::kRefused:
        warn(fmt::format("{} were refused: {}; {} rows are counted as rejected", signal.name, answer.text, records));
        refused_[signal.name] = "refused: " + answer.text;
        set_settled_text("ok");
        return records;
      case Answer::Kind::kCancelled:
        return std::nullopt;
      case Answer::Kind::kRetry:
        break;
    }
    warn(fmt::format("{} will be sent again: {}", signal.name, answer.text));
    set_text("retrying: " + answer.text);
    {
      const std::lock_guard lock(mutex_);
      ++retries_;
    }
    if (!pause(backoff(attempt, answer.retry_after), false)) return std::nullopt;
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
