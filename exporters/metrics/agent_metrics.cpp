// SPDX-License-Identifier: Apache-2.0
#include "exporters/metrics/agent_metrics.h"

namespace keytrail::metrics {
namespace {

constexpr auto kGauge = Metric::Kind::kGauge;

/// One metric that is being filled.
class Filler {
 public:
  Filler(std::vector<Metric>& out, const char* name, const char* unit, const char* help, Metric::Kind kind,
         std::int64_t start_ns = 0)
      : metric_(out.emplace_back(
            Metric{.name = name, .unit = unit, .help = help, .kind = kind, .start_ns = start_ns, .points = {}})) {}
  Filler& add(std::uint64_t value, MetricLabels labels = {}) {
    return add_part(static_cast<double>(value), std::move(labels));
  }
  Filler& add_part(double value, MetricLabels labels) {
    std::erase_if(labels, [](const auto& label) { return label.second.empty(); });
    metric_.points.push_back({.labels = std::move(labels), .value = value});
    return *this;
  }

 private:
  Metric& metric_;
};

Filler counter(std::vector<Metric>& out, const char* name, const char* unit, const char* help, std::int64_t start_ns) {
  return {out, name, unit, help, Metric::Kind::kCounter, start_ns};
}

Filler gauge(std::vector<Metric>& out, const char* name, const char* unit, const char* help) {
  return {out, name, unit, help, kGauge};
}

void put_hooks(std::vector<Metric>& out, const AgentStatus& agent) {
  const std::int64_t start = agent.armed_since_ns;
  const auto of_each = [&](Filler metric, auto value) {
    for (const FamilyStatus& family : agent.families)
      metric.add(value(family), {{"keytrail.family", to_string(family.hook.family)}});
  };
  of_each(gauge(out, "keytrail.hook.armed", "1", "1 where a hook family is armed and its heartbeat comes through."),
          [](const FamilyStatus& one) { return one.hook.armed() && !one.silent ? 1U : 0U; });
  of_each(counter(out, "keytrail.hook.hits", "{hit}", "Calls of the kernel programs.", start),
          [](const FamilyStatus& one) { return one.counters.hits; });
  of_each(counter(out, "keytrail.hook.filtered", "{hit}", "Hits of no interest, or repeats.", start),
          [](const FamilyStatus& one) { return one.counters.filtered; });
  of_each(counter(out, "keytrail.hook.sent", "{event}", "Events that were put into a ring.", start),
          [](const FamilyStatus& one) { return one.counters.sent; });
  Filler lost = counter(out, "keytrail.hook.lost", "{event}", "Events that were lost in the kernel.", start);
  for (const FamilyStatus& family : agent.families) {
    for (const auto& [cause, count] : family.counters.lost)
      lost.add(count, {{"keytrail.family", to_string(family.hook.family)}, {"keytrail.cause", cause}});
  }
}

void put_worker(std::vector<Metric>& out, const AgentStatus& agent, std::int64_t start_ns) {
  const WorkerCounters& worker = agent.worker;
  Filler events =
      counter(out, "keytrail.worker.events", "{event}", "Events from the rings by their fate.", agent.armed_since_ns);
  events.add(worker.recorded, {{"keytrail.fate", "recorded"}}).add(worker.absorbed, {{"keytrail.fate", "absorbed"}});
  for (const auto& [reason, count] : worker.dropped)
    events.add(count, {{"keytrail.fate", "dropped"}, {"keytrail.cause", reason}});
  gauge(out, "keytrail.worker.in_flight", "{event}", "Events whose fate is not decided yet.").add(agent.in_flight);
  Filler tracked = gauge(out, "keytrail.worker.tracked", "1",
                         "What the worker follows now, and what it turned away since it started.");
  for (const auto& [what, count] : agent.tracking)
    tracked.add(count, {{"keytrail.what", what}});
  Filler restarts = counter(out, "keytrail.role.restarts", "{restart}",
                            "Restarts of the agent's processes since the warden began.", 0);
  for (const RoleStatus& role : agent.roles)
    restarts.add(role.restarts, {{"keytrail.role", role.name}});
  Filler retries =
      counter(out, "keytrail.exporter.retries", "{request}", "Requests that had to be sent again.", start_ns);
  for (const ExporterStatus& one : agent.exporters)
    retries.add(one.retries, {{"keytrail.exporter", one.name}});
  Filler lag = gauge(out, "keytrail.exporter.lag", "s", "Age of the oldest row that is being sent.");
  for (const ExporterStatus& one : agent.exporters)
    lag.add_part(static_cast<double>(one.lag_ns) / 1e9, {{"keytrail.exporter", one.name}});
}

void put_history(std::vector<Metric>& out, const HistoryStatus& history) {
  counter(out, "keytrail.history.rows", "{row}", "Rows ever appended to the history.", 0).add(history.rows);
  counter(out, "keytrail.history.lost", "{row}", "Rows that the queue before the history could not hold.", 0)
      .add(history.queue_dropped);
  gauge(out, "keytrail.history.size", "By", "Size of the history.").add(history.bytes);
  gauge(out, "keytrail.history.limit", "By", "Size at which the oldest rows are deleted.").add(history.max_bytes);
  gauge(out, "keytrail.history.log", "By", "Size of the write-ahead log.").add(history.wal_bytes);
  gauge(out, "keytrail.history.queue", "{row}", "Rows that wait to be stored.").add(history.queue);
  gauge(out, "keytrail.history.failing", "1", "1 while the history cannot be written.")
      .add(history.error.empty() ? 0 : 1);
  Filler settled =
      counter(out, "keytrail.exporter.rows", "{row}", "Rows that an exporter is done with, by what became of them.", 0);
  for (const auto& [name, c] : history.exporters) {
    settled.add(c.acknowledged, {{"keytrail.exporter", name}, {"keytrail.fate", "acknowledged"}})
        .add(c.rejected, {{"keytrail.exporter", name}, {"keytrail.fate", "rejected"}})
        .add(c.expired, {{"keytrail.exporter", name}, {"keytrail.fate", "expired"}});
  }
  Filler waiting = gauge(out, "keytrail.exporter.waiting", "{row}", "Rows that wait to be exported.");
  for (const auto& [name, c] : history.exporters)
    waiting.add(c.waiting, {{"keytrail.exporter", name}});
}

std::uint64_t rows_now(HistoryReader& history) {
  const auto status = history.status();
  return status ? status->rows : 0;
}

}  // namespace

void put_health(std::vector<Metric>& out, const AgentStatus& agent, const HistoryStatus& history,
                std::int64_t start_ns) {
  out.reserve(out.size() + 32);  // a Filler refers to its metric
  put_hooks(out, agent);
  put_worker(out, agent, start_ns);
  put_history(out, history);
}

AgentMetrics::AgentMetrics(AgentStatusSource& agent, HistoryReader& history, const Clock& clock)
    : agent_(agent), history_(history), start_ns_(clock.wall_ns()), rows_(rows_now(history), start_ns_) {}

std::vector<Metric> AgentMetrics::collect() {
  std::vector<Metric> out;
  {
    const std::lock_guard lock(mutex_);
    rows_.catch_up(history_);
    rows_.put(out);
  }
  const auto history = history_.status();
  put_health(out, agent_.status(), history ? *history : HistoryStatus{.error = history.error().message}, start_ns_);
  return out;
}

}  // namespace keytrail::metrics
