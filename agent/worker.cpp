// SPDX-License-Identifier: Apache-2.0
#include "agent/worker.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <filesystem>
#include <functional>

#include "agent/base/config.h"
#include "agent/base/log.h"
#include "agent/base/system_clock.h"
#include "agent/pipeline.h"
#include "agent/serve/server.h"
#include "agent/serve/status_json.h"
#include "agent/site_catalog.h"
#include "exporters/metrics/agent_metrics.h"
#include "exporters/metrics/prometheus.h"
#include "exporters/otlp/exporter.h"

namespace keytrail {
namespace {

constexpr int kFailed = 1, kBadConfiguration = 2, kRefused = 5;

std::string host_name() {
  utsname names{};
  return ::uname(&names) == 0 ? names.nodename : "";
}

/// What the running agent knows of itself, for serve.
class Status final : public AgentStatusSource {
 public:
  using Exporters = std::vector<std::unique_ptr<otlp::Exporter>>;
  Status(const examine::RoleLink& roles, Pipeline& pipeline, const SiteCatalog& site, const Exporters& exporters,
         const Clock& clock)
      : pipeline_(pipeline), site_(site), exporters_(exporters) {
    utsname names{};
    ::uname(&names);
    fixed_.version = KEYTRAIL_VERSION;
    fixed_.host = names.nodename;
    fixed_.kernel = names.release;
    fixed_.armed_since_ns = clock.to_wall(roles.armed_ns());
    fixed_.remarks = roles.remarks();
    if (base::time_namespace_offset_ns() != 0)
      fixed_.remarks.emplace_back(
          "PARTLY ARMED: it runs in a time namespace of its own: its times since boot are not the kernel's. Fix: give "
          "it that of the host");
    fixed_.armed_in_ms =
        static_cast<std::uint32_t>((roles.armed_ns() - std::min(roles.started_ns(), roles.armed_ns())) / 1'000'000);
    for (std::size_t i = 0; i < kFamilies; ++i)
      fixed_.families.push_back({.hook = {.family = static_cast<Family>(i)}, .counters = {}});
    for (const HookReport& hook : roles.hooks())
      fixed_.families[static_cast<std::size_t>(hook.family)].hook = hook;
  }

  [[nodiscard]] AgentStatus status() override {
    AgentStatus out = fixed_;
    for (std::string& remark : site_.remarks())
      out.remarks.push_back(std::move(remark));
    const metrics::PrometheusPort* port = prometheus_;
    if (port != nullptr && !port->problem().empty()) out.remarks.push_back(port->problem());
    PipelineSnapshot now = pipeline_.snapshot();
    out.remarks.insert(out.remarks.end(), now.told.begin(), now.told.end());
    if (now.warden_silent)
      out.remarks.emplace_back("the warden gives no sign: files are not opened for examination; is it stopped?");
    for (std::size_t i = 0; i < kFamilies; ++i) {
      out.families[i].counters = now.kernel[i];
      // Without the warden no file is opened: what is opened now is not known.
      const bool blind = now.silent[i] || (now.warden_silent && out.families[i].hook.family == Family::kOpen);
      out.families[i].silent = blind && out.families[i].hook.armed();
    }
    out.worker = std::move(now.worker);
    out.in_flight = now.in_flight;
    out.tracking = std::move(now.tracking);
    out.roles = std::move(now.roles);
    out.machine = *pipeline_.machine();
    for (const auto& exporter : exporters_) {
      auto state = exporter->state();
      out.exporters.push_back({.name = std::move(state.name),
                               .endpoint = std::move(state.endpoint),
                               .state = std::move(state.text),
                               .last_error = std::move(state.last_error),
                               .last_error_ns = state.last_error_ns,
                               .last_ok_ns = state.last_ok_ns,
                               .retries = state.retries,
                               .lag_ns = state.lag_ns});
    }
    return out;
  }

  [[nodiscard]] std::shared_ptr<const UnseenLives> unseen() override { return pipeline_.unseen(); }

  /// Before the first question.
  void add_remark(std::string remark) { fixed_.remarks.push_back(std::move(remark)); }
  /// Must outlive the questions.
  void set_prometheus(const metrics::PrometheusPort& port) { prometheus_ = &port; }

 private:
  Pipeline& pipeline_;
  const SiteCatalog& site_;
  const Exporters& exporters_;
  std::atomic<const metrics::PrometheusPort*> prometheus_ = nullptr;
  AgentStatus fixed_;
};

/// The exporters' threads ask the metrics, which ask the exporters: they end before any of both.
class StopAtEnd {
 public:
  explicit StopAtEnd(const Status::Exporters& exporters) : exporters_(exporters) {}
  ~StopAtEnd() {
    for (const auto& exporter : exporters_)
      exporter->stop();
  }
  StopAtEnd(const StopAtEnd&) = delete;
  StopAtEnd& operator=(const StopAtEnd&) = delete;

 private:
  const Status::Exporters& exporters_;
};

record::HistoryOptions history_options(const base::HistoryConfig& config) {
  record::HistoryOptions out;
  out.path = config.path;
  out.max_bytes = std::uint64_t{config.max_mb} << 20U;
  out.retention_ns = std::int64_t{config.retention_days} * 24 * 60 * record::kMinute;
  out.reserve_bytes = std::uint64_t{config.reserve_mb} << 20U;
  return out;
}

int fail_with(int code, const std::string& message) {
  spdlog::error("{}", message);
  return code;
}

}  // namespace

int run_worker(examine::InheritedFds fds, const std::string& config_path) {
  // Batches go from thread to thread: with a heap for each of these, what one frees is of no use to the others.
  ::mallopt(M_ARENA_MAX, 1);
  auto config = base::load_config(config_path.empty() ? base::kDefaultConfigPath : config_path,
                                  {.required = !config_path.empty(), .findings = judge::finding_types()});
  if (!config) return fail_with(kBadConfiguration, config.error().message);
  spdlog::set_level(spdlog::level::from_str(config->log_level));
  for (const std::string& remark : config->remarks)
    spdlog::warn("{}", remark);
  // The warden's directories win over the defaults: it made them.
  const base::HistoryConfig defaults;
  if (const char* state = ::getenv("KEYTRAIL_STATE_DIR"); state != nullptr && config->history.path == defaults.path)
    config->history.path = std::string(state) + "/history.db";

  SiteCatalog site(config->catalog_directory);
  const catalog::Catalog& catalog = site.catalog();

  boost::asio::io_context io(1);
  const base::SystemClock clock;
  record::HistoryOptions about_history = history_options(config->history);
  std::atomic<bool> damaged = false;
  about_history.on_damage = [&io, &damaged] {
    damaged = true;
    io.stop();
  };
  auto history = record::History::open(about_history, clock);
  if (!history) {
    const Error::Code why = history.error().code;  // these stay as they are, however often it is tried
    return fail_with(why == Error::Code::kInvalid || why == Error::Code::kRefused ? kBadConfiguration : kFailed,
                     history.error().message);
  }
  auto roles = examine::RoleLink::connect(io, fds, [&catalog](std::string_view id) { return catalog.kind(id); });
  if (!roles) return fail_with(kFailed, roles.error().message);
  auto capture = capture::Capture::open({.high_ring = fds.get("high").get(),
                                         .low_ring = fds.get("low").get(),
                                         .counters = fds.get("counters").get(),
                                         .cgroups_lost = fds.get("cgroups_lost").get(),
                                         .cpus = (*roles)->cpus()});
  if (!capture) return fail_with(kFailed, capture.error().message);
  const auto watch = [&site, &roles] {
    for (const std::string& name : site.watch_names())
      (*roles)->watch_name(name);
  };
  watch();

  Pipeline pipeline({.identity = config->identity,
                     .findings = config->findings,
                     .sample_s = config->sampling.sockets_s,
                     .slots_s = config->sampling.slots_s},
                    io, *std::move(capture), **roles, **history, catalog, clock);
  Status::Exporters exporters;
  Status status(**roles, pipeline, site, exporters, clock);
  for (const std::string& name : record::all_put_aside(config->history.path))
    status.add_remark("a damaged history was put aside, and is in no answer: " + name +
                      " (remove it when nobody wants to look at it)");
  metrics::AgentMetrics metrics(status, **history, clock);
  std::unique_ptr<metrics::PrometheusPort> prometheus;
  if (!config->prometheus_listen.empty()) {
    auto port = metrics::PrometheusPort::listen(config->prometheus_listen, metrics);
    if (!port) return fail_with(kBadConfiguration, port.error().message);
    prometheus = *std::move(port);
    status.set_prometheus(*prometheus);
  }
  const otlp::Sender sender{host_name(), config->service_name, config->resource_attributes,
                            [&pipeline] { return pipeline.machine(); }};
  for (const base::OtlpConfig& target : config->otlp)
    exporters.push_back(
        std::make_unique<otlp::Exporter>(target, **history, clock, sender, otlp::ExporterTuning{}, &metrics));
  const StopAtEnd stop_at_end(exporters);
  for (const auto& exporter : exporters) {
    if (auto started = exporter->start(); !started) return fail_with(kBadConfiguration, started.error().message);
  }
  serve::ServeOptions serve_options;
  serve_options.listen_fd = fds.get("api").release();
  serve_options.max_rows = config->queries.max_rows;
  serve_options.request_timeout = std::chrono::seconds(config->queries.timeout_s);
  for (const base::FindingType& one : judge::finding_types())
    serve_options.finding_types.push_back(one.type);
  serve::Server server(std::move(serve_options), **history, status, catalog);
  (*history)->on_append([&server, &exporters] {
    server.notify();
    for (const auto& exporter : exporters)
      exporter->wake();
  });
  if (auto started = pipeline.start(); !started) return fail_with(kFailed, started.error().message);
  if (auto started = server.start(); !started) return fail_with(kFailed, started.error().message);

  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&io](const boost::system::error_code& error, int) {
    if (!error) io.stop();
  });
  boost::asio::signal_set reload(io, SIGHUP);
  std::function<void(const boost::system::error_code&, int)> on_reload = [&](const boost::system::error_code& error,
                                                                             int) {
    if (error) return;
    if (site.reload()) watch();
    reload.async_wait(on_reload);
  };
  reload.async_wait(on_reload);
  (*roles)->on_closed([&io] { io.stop(); });
  const bool partly =
      base::time_namespace_offset_ns() != 0 || std::ranges::any_of((*roles)->remarks(), [](const std::string& remark) {
        return remark.starts_with(serve::kPartlyArmed);
      });
  spdlog::log(partly ? spdlog::level::warn : spdlog::level::info, "{}; history {}, {} exporters",
              partly ? "PARTLY ARMED (keytrail status says why, and the fix)" : "armed", config->history.path,
              exporters.size());
  io.run();
  pipeline.stop();
  server.stop();
  (*history)->drain(std::chrono::seconds(5));
  for (const auto& exporter : exporters)
    exporter->stop();
  prometheus.reset();
  (*history)->close();
  return damaged ? kFailed : 0;  // the next worker puts the history aside
}

int list_disabled_hooks(const std::string& config_path) {
  auto config = base::load_config(
      config_path.empty() ? base::kDefaultConfigPath : config_path,
      {.required = !config_path.empty(), .resolve = false, .environment = false, .findings = judge::finding_types()});
  if (!config) return fail_with(kBadConfiguration, config.error().message);
  for (const std::string& name : config->disabled_hooks)
    fmt::print("{}\n", base::printable(name));
  return 0;
}

int become_warden(const std::string& config_path, const std::vector<std::string>& without) {
  if (::geteuid() != 0) {
    fmt::print(stderr, "keytrail: the agent needs root to load its kernel programs. Try: sudo keytrail agent\n");
    return kRefused;
  }
  auto config = base::load_config(
      config_path.empty() ? base::kDefaultConfigPath : config_path,
      {.required = !config_path.empty(), .resolve = false, .environment = false, .findings = judge::finding_types()});
  if (!config) {
    fmt::print(stderr, "keytrail: {}\n", config.error().message);
    return kBadConfiguration;
  }
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const std::string warden = (self.parent_path() / "keytrail-warden").string();
  std::vector<std::string> args{warden,        "--foreground",
                                "--worker",    self.string(),
                                "--state-dir", fs::path(config->history.path).parent_path().string(),
                                "--run-dir",   fs::path(config->api.socket).parent_path().string()};
  if (!config_path.empty()) args.insert(args.end(), {"--config", fs::absolute(config_path).string()});
  for (const std::string& name : without)
    args.push_back("--no-feature=" + name);
  std::vector<char*> argv;
  argv.reserve(args.size() + 1);
  for (std::string& arg : args)
    argv.push_back(arg.data());
  argv.push_back(nullptr);
  ::execv(warden.c_str(), argv.data());
  fmt::print(stderr, "keytrail: {} could not be started; it belongs beside this program\n", warden);
  return kFailed;
}

}  // namespace keytrail
