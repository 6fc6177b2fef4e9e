// SPDX-License-Identifier: Apache-2.0
#include "exporters/metrics/prometheus.h"

#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

#include "agent/base/host.h"
#include "agent/base/log.h"
#include "agent/base/net_stream.h"

namespace keytrail::metrics {
namespace {

namespace http = boost::beast::http;

constexpr std::chrono::seconds kPatience{2};

std::string name_of(const char* text) {
  std::string out(text);
  for (char& c : out) {
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) c = '_';
  }
  return out;
}

std::string name_of(const Metric& metric) {
  std::string out = name_of(metric.name);
  const std::string_view unit = metric.unit;
  if (unit == "By") out += "_bytes";
  if (unit == "s") out += "_seconds";
  return metric.kind == Metric::Kind::kCounter ? out + "_total" : out;
}

std::string escape(std::string_view text, bool label) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && label) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

std::string labels_of(const MetricPoint& point) {
  std::string out;
  const auto add = [&out](const char* name, std::string_view value) {
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "{" : ",", name_of(name), escape(value, true));
  };
  if (point.overflow) add("otel.metric.overflow", "true");
  for (const auto& [name, value] : point.labels)
    add(name, value);
  return out.empty() ? out : out + "}";
}

struct AddressesDelete {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

/// Waits for the head of a request: 200 for GET /metrics, else what to answer. 0: no request came.
unsigned take_request(int peer, int stop) {
  http::request_parser<http::empty_body> parser;
  std::string in;
  const base::Deadline until = std::chrono::steady_clock::now() + kPatience;
  while (!parser.is_header_done()) {
    char piece[4096];
    if (!base::wait_for(peer, POLLIN, stop, until)) return 0;
    const ssize_t got = ::recv(peer, piece, sizeof piece, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return 0;
    in.append(piece, static_cast<std::size_t>(got));
    boost::system::error_code error;
    in.erase(0, parser.put(boost::asio::buffer(in), error));
    if (error && error != http::error::need_more) return 400;
  }
  const auto& request = parser.get();
  const auto target = request.target().substr(0, request.target().find('?'));
  if (request.method() != http::verb::get) return 405;
  return target == "/metrics" ? 200 : 404;
}

std::string answer(unsigned status, const std::string& body) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: "
      "close\r\n\r\n{}",
      status, std::string_view(http::obsolete_reason(http::int_to_status(status))), body.size(), body);
}

}  // namespace

std::string prometheus_text(std::span<const Metric> metrics) {
  std::string out;
  for (const Metric& metric : metrics) {
    if (metric.points.empty()) continue;
    const std::string name = name_of(metric);
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escape(metric.help, false), name,
                       metric.kind == Metric::Kind::kCounter ? "counter" : "gauge");
    for (const MetricPoint& point : metric.points)
      out += fmt::format("{}{} {}\n", name, labels_of(point), point.value);
  }
  return out;
}

PrometheusPort::PrometheusPort(std::string name, const addrinfo& address, MetricSource& source,
                               std::chrono::milliseconds retry)
    : name_(std::move(name)), address_size_(address.ai_addrlen), source_(source), retry_(retry) {
  std::memcpy(&address_, address.ai_addr, address.ai_addrlen);
}

Result<std::unique_ptr<PrometheusPort>> PrometheusPort::listen(const std::string& address, MetricSource& source,
                                                               std::chrono::milliseconds retry) {
  const base::HostPort where = base::parse_host(address);  // getaddrinfo would take port 99999 as 34463
  const std::string port_text = std::to_string(where.port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  if (where.host.empty() || base::split_host(address).port.empty() ||
      ::getaddrinfo(where.host.c_str(), port_text.c_str(), &hints, &found) != 0) {
    return fail(Error::Code::kInvalid,
                "prometheus.listen: " + base::printable(address) + " is no address and port, like 127.0.0.1:9477");
  }
  const std::unique_ptr<addrinfo, AddressesDelete> list(found);
  std::unique_ptr<PrometheusPort> port(new PrometheusPort(base::printable(address), *found, source, retry));
  port->stop_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!port->stop_) return fail(Error::Code::kSystem, std::string("eventfd: ") + std::strerror(errno));
  if (!port->open()) spdlog::error("{}", port->problem());
  try {
    port->thread_ = std::thread([self = port.get()] { self->run(); });
  } catch (const std::system_error& error) {
    return fail(Error::Code::kSystem,
                std::string("the thread of the Prometheus port cannot be started: ") + error.what());
  }
  return port;
}

bool PrometheusPort::open() {
  base::UniqueFd listener(::socket(address_.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (listener) ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool listens = listener &&
                       ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address_), address_size_) == 0 &&
                       ::listen(listener.get(), 16) == 0;
  const std::scoped_lock held(problem_lock_);
  problem_ = listens ? "" : "prometheus.listen: nothing listens on " + name_ + ": " + std::strerror(errno);
  if (listens) listener_ = std::move(listener);
  return listens;
}

std::string PrometheusPort::problem() const {
  const std::scoped_lock held(problem_lock_);
  return problem_;
}

PrometheusPort::~PrometheusPort() {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(stop_.get(), &one, sizeof one));
  if (thread_.joinable()) thread_.join();
}

std::uint16_t PrometheusPort::port() const {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  char service[8] = "0";
  ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&at), &size);
  ::getnameinfo(reinterpret_cast<sockaddr*>(&at), size, nullptr, 0, service, sizeof service, NI_NUMERICSERV);
  return static_cast<std::uint16_t>(std::stoi(service));
}

void PrometheusPort::run() {
  constexpr auto kLong = std::chrono::hours(1);
  while (!listener_) {
    const auto stopped = base::wait_for(stop_.get(), POLLIN, stop_.get(), std::chrono::steady_clock::now() + retry_);
    if (stopped || stopped.error().code == Error::Code::kGone) return;
    if (open()) spdlog::info("prometheus.listen: {} is served now", name_);
  }
  for (;;) {
    const auto ready = base::wait_for(listener_.get(), POLLIN, stop_.get(), std::chrono::steady_clock::now() + kLong);
    if (!ready && ready.error().code == Error::Code::kGone) return;
    if (!ready) continue;
    const base::UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer) {  // out of descriptors: do not spin
      if (errno != EAGAIN) std::this_thread::sleep_for(std::chrono::milliseconds(100));
      continue;
    }
    try {
      serve(peer.get());
    } catch (const std::exception& error) {
      spdlog::error("Prometheus port: {}", base::printable(error.what()));
    }
  }
}

void PrometheusPort::serve(int peer) {
  const unsigned status = take_request(peer, stop_.get());
  if (status == 0) return;
  const std::string text = answer(status, status == 200 ? prometheus_text(source_.collect()) : "see /metrics\n");
  const base::Deadline until = std::chrono::steady_clock::now() + kPatience;
  for (std::string_view left = text; !left.empty();) {
    const ssize_t sent = ::send(peer, left.data(), left.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      left.remove_prefix(static_cast<std::size_t>(sent));
    } else if ((errno != EAGAIN && errno != EINTR) || !base::wait_for(peer, POLLOUT, stop_.get(), until)) {
      return;
    }
  }
}

}  // namespace keytrail::metrics
