// SPDX-License-Identifier: Apache-2.0
// One export destination: reads the rows after its cursor, sends them as traces and logs, and moves the cursor when
// both are answered; sends the metrics in between. Own thread, started by `start`, joined by `stop` (or the
// destructor). Every row is acknowledged or counted as rejected; none is skipped.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/config.h"
#include "exporters/otlp/loaded_part.h"
#include "exporters/otlp/segments.h"
#include "exporters/otlp/transport.h"
#include "keytrail/clock.h"
#include "keytrail/row_queue.h"

namespace keytrail::otlp {

struct ExporterState {
  std::string name;
  std::string endpoint;
  /// "idle", "ok", "retrying: Connection refused", "refused: 401 Unauthorized", "stopped", "history: …": no secret.
  /// With what was sent under another service name than its own.
  std::string text;
  ExportCounters counters;         ///< as the history counts them
  std::string last_error;          ///< of a request since start; empty = none
  std::int64_t last_error_ns = 0;  ///< Unix ns
  std::int64_t last_ok_ns = 0;     ///< Unix ns: when a request was last accepted; 0 = never since start
  std::uint64_t retries = 0;       ///< requests that had to be sent again since start
  std::int64_t lag_ns = 0;  ///< how long the oldest row that is being sent has been known; 0 = nothing is being sent
};

/// For tests; the defaults are for use.
struct ExporterTuning {
  std::chrono::milliseconds backoff_first{1000};
  std::chrono::milliseconds backoff_max{60'000};
  std::chrono::milliseconds poll{1000};       ///< how often the history is asked without a wake
  std::size_t rows = 512;                     ///< of one request
  std::size_t request_max = 3U << 20U;        ///< bytes before compression; a gRPC collector takes 4 MiB
  std::size_t services = ServiceNames::kMax;  ///< values of service.name
  unsigned unfit_in_a_row = 32;               ///< so many refusals of parts mean that the collector takes none
  std::string folder = folder_of_parts();     ///< of keytrail-otlp-*.so
};

class Exporter {
 public:
  /// `queue`, `clock` and `metrics` (for the signal of that name) must outlive it.
  Exporter(base::OtlpConfig config, RowQueue& queue, const Clock& clock, Sender sender, ExporterTuning tuning = {},
           MetricSource* metrics = nullptr);
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  /// Checks endpoint and TLS files, registers its cursor, starts the thread. A collector that is down is not an error.
  [[nodiscard]] Result<void> start();
  /// Ends a running request and joins. What was not answered stays after the cursor and is sent again. Final.
  void stop();
  /// New rows may be there. Any thread; quick (fit for RowQueue::on_append).
  void wake();
  /// A copy. Any thread.
  [[nodiscard]] ExporterState state();

 private:
  void run();
  /// Takes up the traces that an earlier run left open; `first` is the first row to send.
  void resume(const Row& first);
  /// Sends the metrics when it is time. Never twice: the next ones say more. False: stopping.
  bool send_metrics();
  /// Rows and where each stands.
  struct Run {
    std::span<const Row> rows;
    std::span<const Place> places;
    [[nodiscard]] Run part(std::size_t from, std::size_t count) const {
      return {rows.subspan(from, count), places.subspan(from, count)};
    }
  };
  /// Sends the rows in as many requests as their size asks for. False: stopping.
  bool export_rows(Run run);
  struct Request {
    const Signal& signal;
    std::unique_ptr<Message> message;
  };
  /// One request for each signal that is configured and has something to say.
  [[nodiscard]] std::vector<Request> build(const Material& from) const;
  /// Sends one signal of `run`. What the collector calls too large or malformed is sent in halves, until what it will
  /// not take stands alone. nullopt: stopping; else how many of its records were refused.
  std::optional<std::uint64_t> deliver(const Request& request, Run run);
  std::optional<std::uint64_t> deliver_halves(const Signal& signal, Run run);
  /// Sends until there is an answer other than kRetry.
  [[nodiscard]] Answer send(const Request& request);
  /// Whether a part of what was refused as `answer` may yet be taken.
  bool is_worth_halving(const Request& request, const Answer& answer, std::size_t rows);
  [[nodiscard]] bool takes_none(const Signal& signal);
  /// What was taken after something larger was refused for its size tells the collector's limit; later more is tried.
  void learn_limit(std::size_t taken);
  bool settle(std::uint64_t up_to, std::uint64_t rejected);
  /// Waits; false: stopping. A wake ends it only when `wakeable`.
  bool pause(std::chrono::milliseconds time, bool wakeable);
  [[nodiscard]] std::chrono::milliseconds backoff(unsigned attempt,
                                                  const std::optional<std::chrono::seconds>& asked) const;
  void set_text(std::string text);
  /// What was refused last, while that signal has not been accepted since; else `otherwise`.
  void set_settled_text(const char* otherwise);
  /// For the log, unless it says the same as before; and for `state`.
  void warn(const std::string& text);
  void note_accepted();
  void set_oldest(std::int64_t observed_ns);

  const base::OtlpConfig config_;
  RowQueue& queue_;
  const Clock& clock_;
  const Sender sender_;
  const ExporterTuning tuning_;
  MetricSource* const metrics_;
  const bool rows_wanted_;  ///< a signal is configured that is made of rows
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<SpanBuilder> builder_;                ///< thread only
  bool resumed_ = false;                                ///< thread only
  std::chrono::steady_clock::time_point next_metrics_;  ///< thread only
  std::string last_warning_;                            ///< thread only
  std::map<std::string, std::string> refused_;          ///< thread only; by signal
  std::map<std::string, unsigned> unfit_in_a_row_;      ///< thread only; by signal
  std::size_t request_max_;              ///< thread only; bytes, as far as the collector's limit is known
  std::size_t refused_size_ = SIZE_MAX;  ///< thread only; the smallest that was too large, of the rows in hand
  unsigned taken_at_limit_ = 0;          ///< thread only

  std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  bool woken_ = false;
  std::string text_ = "stopped";
  std::string last_error_;
  std::int64_t last_error_ns_ = 0, last_ok_ns_ = 0;
  std::int64_t oldest_ns_ = 0;  ///< when the first row in hand became known; 0 = none
  std::uint64_t retries_ = 0;
  std::thread thread_;
};

}  // namespace keytrail::otlp
