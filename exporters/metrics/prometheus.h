// SPDX-License-Identifier: Apache-2.0
// The Prometheus port: GET /metrics in the text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). Own
// thread; one client at a time, each at most two seconds. Off unless configured; it has no access control but the
// address it listens on.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <thread>

#include "agent/base/fd.h"
#include "keytrail/metrics.h"
#include "keytrail/result.h"

namespace keytrail::metrics {

/// Names with _ for what Prometheus does not take, counters with _total, a unit in the name where it is one.
[[nodiscard]] std::string prometheus_text(std::span<const Metric> metrics);

class PrometheusPort {
 public:
  /// Listens on `address` ("127.0.0.1:9477", "[::1]:9477"). Errors: kInvalid (no such address), kSystem (it is taken).
  [[nodiscard]] static Result<std::unique_ptr<PrometheusPort>> listen(const std::string& address, MetricSource& source);
  ~PrometheusPort();
  PrometheusPort(const PrometheusPort&) = delete;
  PrometheusPort& operator=(const PrometheusPort&) = delete;
  /// Where it listens: for a test that asked for port 0.
  [[nodiscard]] std::uint16_t port() const;

 private:
  PrometheusPort(base::UniqueFd listener, base::UniqueFd stop, MetricSource& source)
      : listener_(std::move(listener)), stop_(std::move(stop)), source_(source) {}
  void run();
  void serve(int peer);

  base::UniqueFd listener_, stop_;
  MetricSource& source_;
  std::thread thread_;
};

}  // namespace keytrail::metrics
