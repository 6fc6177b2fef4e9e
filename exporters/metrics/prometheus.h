// SPDX-License-Identifier: Apache-2.0
// The Prometheus port: GET /metrics in the text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). Own
// thread; one client at a time, each at most two seconds. Off unless configured; it has no access control but the
// address it listens on.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>

#include "agent/base/fd.h"
#include "keytrail/metrics.h"
#include "keytrail/result.h"

struct addrinfo;

namespace keytrail::metrics {

/// Names with _ for what Prometheus does not take, counters with _total, a unit in the name where it is one.
[[nodiscard]] std::string prometheus_text(std::span<const Metric> metrics);

class PrometheusPort {
 public:
  /// Listens on `address` ("127.0.0.1:9477", "[::1]:9477"). One that is taken, or not there yet, is tried again every
  /// `retry`: problem() tells. Errors: kInvalid (this can be no address), kSystem (no descriptor, no thread).
  [[nodiscard]] static Result<std::unique_ptr<PrometheusPort>> listen(
      const std::string& address, MetricSource& source, std::chrono::milliseconds retry = std::chrono::seconds(10));
  ~PrometheusPort();
  PrometheusPort(const PrometheusPort&) = delete;
  PrometheusPort& operator=(const PrometheusPort&) = delete;
  /// Where it listens: for a test that asked for port 0.
  [[nodiscard]] std::uint16_t port() const;
  /// Why it does not listen, for people; empty when it does. Any thread.
  [[nodiscard]] std::string problem() const;

 private:
  PrometheusPort(std::string name, const addrinfo& address, MetricSource& source, std::chrono::milliseconds retry);
  bool open();
  void run();
  void serve(int peer);

  const std::string name_;
  sockaddr_storage address_{};
  socklen_t address_size_ = 0;
  base::UniqueFd listener_, stop_;
  MetricSource& source_;
  const std::chrono::milliseconds retry_;
  mutable std::mutex problem_lock_;
  std::string problem_;
  std::thread thread_;
};

}  // namespace keytrail::metrics
