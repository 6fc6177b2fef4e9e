// SPDX-License-Identifier: Apache-2.0
// The only file of serve that includes Beast and Asio.
#include "agent/serve/server.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "agent/base/fd.h"
#include "agent/base/log.h"
#include "agent/serve/api.h"
#include "agent/serve/share.h"
#include "agent/serve/watch_hub.h"

namespace keytrail::serve {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::local::stream_protocol;
using Stream = beast::basic_stream<stream_protocol>;

namespace {

constexpr std::uint32_t kHeaderLimit = 8U << 10U;
constexpr std::uint64_t kBodyLimit = 64U << 10U;
constexpr std::size_t kMaxPending = 8192;  // rows handed over and not yet delivered
constexpr std::size_t kMaxRefusedAtOnce = 8;
constexpr char kTooMany[] = "too many connections at once; try again";
constexpr char kTooManyWatches[] = "too many watches at once; end one of them and try again";
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

Result<base::UniqueFd> listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Error::Code::kInvalid, "the socket's path must have 1 to 107 bytes");
  std::memcpy(address.sun_path, path.data(), path.size());
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Error::Code::kSystem, std::string("socket: ") + std::strerror(errno));
  const mode_t before = ::umask(0117);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  ::umask(before);
  if (bound != 0) return fail(Error::Code::kSystem, "bind " + base::printable(path) + ": " + std::strerror(error));
  if (::listen(fd.get(), 64) != 0) return fail(Error::Code::kSystem, std::string("listen: ") + std::strerror(errno));
  return fd;
}

/// What a connection that broke the protocol is told; 0 = nothing, the peer is gone or too slow.
unsigned status_of(const beast::error_code& error) {
  if (error == http::error::end_of_stream || error == beast::error::timeout) return 0;
  if (error == http::error::header_limit) return 431;
  if (error == http::error::body_limit) return 413;
  if (error == http::error::partial_message ||
      error.category() == http::make_error_code(http::error::bad_method).category())
    return 400;
  return 0;
}

/// A connection as it was let in.
struct Visit {
  Peer peer;
  std::string refused;  ///< what the peer is told instead of an answer; empty = it may ask
  Share::Taken place;
  bool reserved = false;  ///< it may ask for the status only
};

bool asks_for_status(std::string_view target) { return target.substr(0, target.find('?')) == "/v1/status"; }

}  // namespace

class Server::Impl {
 public:
  Impl(ServeOptions options, HistoryReader& history, AgentStatusSource& status, const catalog::Catalog& catalog)
      : options_(std::move(options)),
        history_(history),
        api_(history, status, catalog, options_.max_rows, options_.finding_types),
        connections_(options_.max_connections, options_.connections_of_one),
        reserve_(options_.reserve, (options_.reserve + 1) / 2),
        watches_(options_.max_watches, options_.watches_of_one) {
    if (!options_.peer_of) options_.peer_of = peer_of;
  }

  Result<void> start();
  void stop();
  void notify();
  void on_rows(std::vector<Row> rows);

 private:
  asio::awaitable<void> accept_loop(stream_protocol::acceptor acceptor);
  void accepted(stream_protocol::socket socket);
  /// Without a place where none is left.
  Visit let_in(int fd);
  asio::awaitable<void> converse(stream_protocol::socket socket, Visit visit);
  asio::awaitable<bool> respond(Stream& stream, const http::request<http::string_body>& request, const Visit& visit);
  asio::awaitable<bool> answer_watch(Stream& stream, Query query, unsigned version, const Peer& peer);
  asio::awaitable<bool> send(Stream& stream, unsigned status, std::string body, const std::string& type,
                             unsigned version, bool keep, bool head);
  asio::awaitable<void> watch(Stream& stream, Query query);
  asio::awaitable<bool> replay(Stream& stream, Watcher& watcher);
  asio::awaitable<bool> write_text(Stream& stream, const std::string& text);
  void pull();
  std::uint64_t newest() {
    const Result<HistoryStatus> status = history_.status();
    return status ? status->rows : 0;  // the sequence counts every row ever appended
  }
  /// Every coroutine ends here: nothing it throws is lost, nothing escapes.
  static void done(const std::exception_ptr& error) {
    if (!error) return;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& problem) {
      spdlog::error("a connection ended by an internal error: {}", base::printable(problem.what()));
    }
  }

  ServeOptions options_;
  HistoryReader& history_;
  Api api_;
  PeerRule rule_;
  WatchHub hub_;
  Share connections_, reserve_, watches_;
  Share strangers_{kMaxRefusedAtOnce, kMaxRefusedAtOnce};
  std::atomic<std::size_t> pending_ = 0;
  std::atomic<std::uint64_t> not_taken_ = 0;
  std::atomic<bool> notified_ = false;
  std::mutex context_mutex_;  // guards `context_` against stop() while another thread posts
  std::unique_ptr<asio::io_context> context_;
  std::thread thread_;
};

Result<void> Server::Impl::start() {
  base::UniqueFd fd(options_.listen_fd);
  if (!fd) {
    Result<base::UniqueFd> bound = listen_at(options_.path);
    if (!bound) return std::unexpected(bound.error());
    fd = std::move(*bound);
  }
  options_.listen_fd = -1;
  // Many services run as nobody (the kernel's overflow uid): it stands for no one.
  constexpr uid_t kNobody = 65534;
  rule_ = {::geteuid() == kNobody ? std::nullopt : std::optional(::geteuid()),
           options_.group ? options_.group : socket_group(fd.get())};
  const std::lock_guard lock(context_mutex_);
  context_ = std::make_unique<asio::io_context>(1);
  boost::system::error_code error;
  stream_protocol::acceptor acceptor(*context_);
  acceptor.assign(stream_protocol(), fd.get(), error);
  if (error) return fail(Error::Code::kSystem, "the API socket cannot be used: " + error.message());
  static_cast<void>(fd.release());
  asio::co_spawn(*context_, accept_loop(std::move(acceptor)), done);
  thread_ = std::thread([context = context_.get()] {
    ::pthread_setname_np(::pthread_self(), "serve");
    context->run();
  });
  return {};
}

void Server::Impl::stop() {
  if (!thread_.joinable()) return;
  context_->stop();
  thread_.join();
  const std::lock_guard lock(context_mutex_);
  context_.reset();  // destroys what the connections left, while all they refer to still lives
}

asio::awaitable<void> Server::Impl::accept_loop(stream_protocol::acceptor acceptor) {
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(kNoThrow);
    if (!error) {
      accepted(std::move(socket));
      continue;
    }
    spdlog::warn("accept on the API socket: {}", error.message());
    asio::steady_timer pause(co_await asio::this_coro::executor,
                             std::chrono::milliseconds(100));  // out of descriptors: wait for some
    co_await pause.async_wait(kNoThrow);
  }
}

Visit Server::Impl::let_in(int fd) {
  Visit visit;
  const Result<Peer> peer = options_.peer_of(fd);
  visit.refused = peer ? refusal(*peer, rule_) : peer.error().message;
  visit.peer = peer.value_or(Peer{});
  if (!visit.refused.empty()) {
    visit.place = strangers_.take(visit.peer.uid);
    return visit;
  }
  visit.place = connections_.take(visit.peer.uid);
  visit.reserved = !visit.place;
  if (visit.reserved) visit.place = reserve_.take(visit.peer.uid);
  return visit;
}

void Server::Impl::accepted(stream_protocol::socket socket) {
  Visit visit = let_in(socket.native_handle());
  if (!visit.place) {
    spdlog::warn("connection of uid {} pid {} closed: {}", visit.peer.uid, visit.peer.pid,
                 visit.refused.empty() ? "too many connections" : base::printable(visit.refused));
    const std::string body = error_body(503, kTooMany);
    const std::string text =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    static_cast<void>(::send(socket.native_handle(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
    return;
  }
  asio::co_spawn(*context_, converse(std::move(socket), std::move(visit)), done);
}

asio::awaitable<void> Server::Impl::converse(stream_protocol::socket socket, Visit visit) {
  Stream stream(std::move(socket));
  beast::flat_buffer buffer(kHeaderLimit + kBodyLimit + 4096);
  for (;;) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(kHeaderLimit);
    parser.body_limit(kBodyLimit);
    stream.expires_after(visit.reserved ? options_.reserve_timeout : options_.request_timeout);
    const auto [error, bytes] = co_await http::async_read(stream, buffer, parser, kNoThrow);
    if (error) {
      const unsigned status = status_of(error);
      if (status != 0) {
        spdlog::warn("query uid={} pid={} malformed request: {}", visit.peer.uid, visit.peer.pid, error.message());
        co_await send(stream, status, error_body(status, "malformed request: " + error.message()), "application/json",
                      11, false, false);
      }
      break;
    }
    if (!co_await respond(stream, parser.get(), visit)) break;
  }
  boost::system::error_code ignored;
  stream.socket().shutdown(stream_protocol::socket::shutdown_both, ignored);
}

asio::awaitable<bool> Server::Impl::respond(Stream& stream, const http::request<http::string_body>& request,
                                            const Visit& visit) {
  const bool head = request.method() == http::verb::head;
  const Peer& peer = visit.peer;
  if (!visit.refused.empty()) {
    spdlog::warn("query refused: {} (pid {})", base::printable(visit.refused), peer.pid);
    co_return co_await send(stream, 403, error_body(403, visit.refused), "application/json", request.version(), false,
                            head);
  }
  if (visit.reserved && !asks_for_status({request.target().data(), request.target().size()})) {
    spdlog::warn("query of uid {} pid {} not answered: too many connections", peer.uid, peer.pid);
    co_return co_await send(stream, 503, error_body(503, kTooMany), "application/json", request.version(), false, head);
  }
  const auto begin = std::chrono::steady_clock::now();
  const std::string method(request.method_string());
  ApiAnswer answer = api_.handle(method, std::string(request.target()), std::string(request["Last-Event-ID"]));
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  spdlog::info("query uid={} pid={} {} {} -> {} {} bytes {} us", peer.uid, peer.pid,
               base::printable(method.substr(0, 16)), answer.for_log, answer.status, answer.body.size(), took.count());
  if (answer.watch && answer.status == 200 && !head)
    co_return co_await answer_watch(stream, std::move(*answer.watch), request.version(), peer);
  co_return co_await send(stream, answer.status, std::move(answer.body), answer.content_type, request.version(),
                          request.keep_alive() && !visit.reserved, head);
}

asio::awaitable<bool> Server::Impl::answer_watch(Stream& stream, Query query, unsigned version, const Peer& peer) {
  const Share::Taken place = watches_.take(peer.uid);
  if (place) {
    co_await watch(stream, std::move(query));
    co_return false;
  }
  spdlog::warn("watch of uid {} pid {} not begun: too many watches", peer.uid, peer.pid);
  co_return co_await send(stream, 503, error_body(503, kTooManyWatches), "application/json", version, false, false);
}

asio::awaitable<bool> Server::Impl::send(Stream& stream, unsigned status, std::string body, const std::string& type,
                                         unsigned version, bool keep, bool head) {
  http::response<http::string_body> response;
  response.result(status);
  response.version(version);
  response.set(http::field::server, "keytrail");
  response.set(http::field::content_type, type);
  response.set(http::field::cache_control, "no-store");
  if (status == 405) response.set(http::field::allow, "GET, HEAD");
  response.keep_alive(keep);
  response.body() = std::move(body);
  response.prepare_payload();
  if (head) response.body().clear();
  stream.expires_after(options_.write_timeout);
  http::response_serializer<http::string_body> serializer(response);
  if (head) {
    const auto [error, bytes] = co_await http::async_write_header(stream, serializer, kNoThrow);
    co_return !error && keep;
  }
  const auto [error, bytes] = co_await http::async_write(stream, serializer, kNoThrow);
  co_return !error && keep;
}

asio::awaitable<bool> Server::Impl::write_text(Stream& stream, const std::string& text) {
  stream.expires_after(options_.write_timeout);
  const auto [error, bytes] = co_await asio::async_write(stream, asio::buffer(text), kNoThrow);
  co_return !error;
}

/// Sends what the history has after the cursor, page by page.
asio::awaitable<bool> Server::Impl::replay(Stream& stream, Watcher& watcher) {
  HistoryFilter filter = watcher.query().filter;
  filter.limit = std::min<std::size_t>(500, options_.max_rows);
  for (;;) {
    const Result<Page<Row>> page = history_.rows(filter, watcher.query().kinds);
    if (!page)
      co_return co_await write_text(stream, "event: error\ndata: " + error_body(500, page.error().message) + "\n");
    std::string text;
    for (const Row& row : page->items) {
      text += sse_event(row);
      watcher.sent_up_to(row.seq);
    }
    if (!text.empty() && !co_await write_text(stream, text)) co_return false;
    if (page->next == 0) co_return true;
    filter.after_seq = page->next;
  }
}

asio::awaitable<void> Server::Impl::watch(Stream& stream, Query query) {
  asio::steady_timer wake(co_await asio::this_coro::executor);
  const bool from_history = query.after_given || query.filter.from_ns != 0;
  Watcher watcher(std::move(query), options_.watch_queue, [&wake] { wake.cancel(); });
  if (hub_.watchers() == 0) hub_.begin_after(newest());
  hub_.add(&watcher);  // before the replay: nothing falls between the two
  const std::unique_ptr<Watcher, std::function<void(Watcher*)>> leave(&watcher,
                                                                      [this](Watcher* gone) { hub_.remove(gone); });
  bool open = co_await write_text(
      stream,
      "HTTP/1.1 200 OK\r\nServer: keytrail\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
      "Connection: close\r\n\r\n: watching\n\n");
  if (open && from_history) open = co_await replay(stream, watcher);
  while (open) {
    std::string text = watcher.take();
    if (text.empty()) {
      wake.expires_after(options_.heartbeat);
      co_await wake.async_wait(kNoThrow);
      text = watcher.take();
    }
    open = co_await write_text(stream, text.empty() ? ": still here\n\n" : text);
  }
}

void Server::Impl::notify() {
  if (hub_.watchers() == 0 || notified_.exchange(true)) return;
  const std::lock_guard lock(context_mutex_);
  if (context_) asio::post(*context_, [this] { pull(); });
}

/// One page at a time, so that others are served in between.
void Server::Impl::pull() {
  notified_ = false;
  if (hub_.watchers() == 0) return;
  HistoryFilter filter;
  filter.after_seq = hub_.delivered();
  filter.limit = std::min<std::size_t>(500, options_.max_rows);
  const Result<Page<Row>> page = history_.rows(filter, RowKinds{});
  if (!page) {
    spdlog::warn("reading new rows for those who watch: {}", base::printable(page.error().message));
    return;
  }
  hub_.deliver(page->items);
  if (page->next != 0) notify();
}

void Server::Impl::on_rows(std::vector<Row> rows) {
  if (hub_.watchers() == 0 || rows.empty()) return;
  const std::size_t count = rows.size();
  if (pending_.fetch_add(count) + count > kMaxPending) {
    pending_ -= count;
    not_taken_ += count;
    return;
  }
  const std::lock_guard lock(context_mutex_);
  if (!context_) return;
  asio::post(*context_, [this, count, rows = std::move(rows)] {
    pending_ -= count;
    hub_.deliver(rows);
    if (const std::uint64_t missed = not_taken_.exchange(0); missed != 0) hub_.miss(missed);
  });
}

Server::Server(ServeOptions options, HistoryReader& history, AgentStatusSource& status, const catalog::Catalog& catalog)
    : impl_(std::make_unique<Impl>(std::move(options), history, status, catalog)) {}
Server::~Server() { impl_->stop(); }
Result<void> Server::start() { return impl_->start(); }
void Server::stop() { impl_->stop(); }
void Server::notify() { impl_->notify(); }
void Server::on_rows(std::vector<Row> rows) { impl_->on_rows(std::move(rows)); }

}  // namespace keytrail::serve
