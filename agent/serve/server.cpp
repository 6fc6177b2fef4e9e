// SPDX-License-Identifier: Apache-2.0
// The only file of serve that includes Beast and Asio.
#include "agent/serve/server.h"

#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <mutex>
#include <thread>

#include "agent/base/fd.h"
#include "agent/base/log.h"
#include "agent/serve/api.h"
#include "agent/serve/door.h"
#include "agent/serve/listen.h"
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
constexpr char kTooMany[] = "too many connections at once; try again";
constexpr char kTooManyWatches[] = "too many watches at once; end one of them and try again";
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

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

bool asks_for_status(std::string_view target) { return target.substr(0, target.find('?')) == "/v1/status"; }

bool asks_about_now(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  return path == "/v1/holders" || path == "/v1/rotation";
}

/// Says when the peer of a watch has gone. What it still says is read and thrown away: else its end would not be seen.
struct Ear {
  asio::steady_timer wake;
  stream_protocol::socket* socket;  ///< null: the watch has ended before its peer
  bool gone = false;
  std::size_t heard = 0;
};

void listen_to(const std::shared_ptr<Ear>& ear) {
  ear->socket->async_wait(stream_protocol::socket::wait_read, [ear](const boost::system::error_code& error) {
    if (error || ear->socket == nullptr) return;
    const int fd = ear->socket->native_handle();
    ear->gone = hung_up(fd);
    std::array<char, 4096> said;
    ssize_t got = 1;
    for (int i = 0; i < 16 && got > 0 && !ear->gone; ++i) {
      got = ::recv(fd, said.data(), said.size(), MSG_DONTWAIT);
      if (got > 0) ear->heard += static_cast<std::size_t>(got);
      ear->gone = ear->heard > kBodyLimit;
    }
    if (ear->gone) ear->wake.cancel();
    if (!ear->gone && got != 0) listen_to(ear);  // 0: it says no more, and may listen on
  });
}

}  // namespace

class Server::Impl {
 public:
  Impl(ServeOptions options, HistoryReader& history, AgentStatusSource& status, const catalog::Catalog& catalog)
      : options_(std::move(options)),
        history_(history),
        status_(status),
        api_(history, status, catalog, options_.max_rows, options_.finding_types),
        door_(options_),
        watches_(options_.max_watches, options_.watches_of_one) {}

  Result<void> start();
  void stop();
  void notify();
  void on_rows(std::vector<Row> rows);

 private:
  asio::awaitable<void> accept_loop(stream_protocol::acceptor acceptor);
  void accepted(stream_protocol::socket socket);
  asio::awaitable<void> converse(stream_protocol::socket socket, Visit visit);
  asio::awaitable<bool> respond(Stream& stream, const http::request<http::string_body>& request, const Visit& visit);
  asio::awaitable<bool> answer_watch(Stream& stream, Query query, unsigned version, const Peer& peer);
  /// What is under way now, when what happened before is stored, or as far as it can be waited for.
  asio::awaitable<LivesNow> settled_now();
  asio::awaitable<bool> send(Stream& stream, unsigned status, std::string body, const std::string& type,
                             unsigned version, bool keep, bool head);
  asio::awaitable<void> watch(Stream& stream, Query query, const Peer& peer);
  /// How long a watch may wait for rows; 0: its time is over, and what came before is stored.
  std::chrono::nanoseconds pause_until(std::int64_t until_ns) const {
    if (until_ns == 0) return options_.heartbeat;
    const std::chrono::nanoseconds settle = options_.watch_settle;
    return std::clamp(std::chrono::nanoseconds(until_ns - now_ns()) + settle, std::chrono::nanoseconds(0),
                      std::chrono::nanoseconds(options_.heartbeat));
  }
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
  AgentStatusSource& status_;
  Api api_;
  WatchHub hub_;
  Door door_;
  Share watches_;
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
  door_.opens_to(fd.get());
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

void Server::Impl::accepted(stream_protocol::socket socket) {
  Visit visit = door_.let_in(socket.native_handle());
  if (!visit.place) {
    spdlog::warn("connection of {} closed: {}", who(visit.peer),
                 visit.refused.empty() ? "too many connections" : base::printable(visit.refused));
    const std::string body = error_body(503, kTooMany, kBusy);
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
        spdlog::warn("query {} malformed request: {}", who(visit.peer), error.message());
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
    spdlog::warn("query {} {}", who(peer), base::printable(visit.refused));
    co_return co_await send(stream, 403, error_body(403, visit.refused), "application/json", request.version(), false,
                            head);
  }
  if (visit.reserved && !asks_for_status({request.target().data(), request.target().size()})) {
    spdlog::warn("query {} not answered: too many connections", who(peer));
    co_return co_await send(stream, 503, error_body(503, kTooMany, kBusy), "application/json", request.version(), false,
                            head);
  }
  const auto begin = std::chrono::steady_clock::now();
  const std::string method(request.method_string());
  std::optional<LivesNow> lives;
  if (asks_about_now({request.target().data(), request.target().size()})) lives = co_await settled_now();
  ApiAnswer answer = api_.handle(method, std::string(request.target()), std::string(request["Last-Event-ID"]), lives);
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  const bool known_method = request.method() != http::verb::unknown;  // else it is whatever somebody typed
  spdlog::info("query {} {} {} -> {} {} bytes {} us", who(peer), known_method ? method : "(unknown method)",
               answer.for_log, answer.status, answer.body.size(), took.count());
  if (answer.watch && answer.status == 200 && !head)
    co_return co_await answer_watch(stream, std::move(*answer.watch), request.version(), peer);
  co_return co_await send(stream, answer.status, std::move(answer.body), answer.content_type, request.version(),
                          request.keep_alive() && !visit.reserved, head);
}

// A key that was taken before the question is in the rings, then being examined, then in a batch, then in the history.
// The rings are emptied of what is older than 10 ms before each batch, and batches are 50 ms apart: the second from now
// was made after that, and what is being examined is told by the third. What was examined by then must be stored.
asio::awaitable<LivesNow> Server::Impl::settled_now() {
  const auto end = std::chrono::steady_clock::now() + options_.now_settle;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  const auto begun = history_.batches();
  if (!begun) co_return lives_now(status_);
  const auto late = [end] { return std::chrono::steady_clock::now() >= end; };
  while (history_.batches()->submitted < begun->submitted + 3 && !late()) {
    timer.expires_after(std::chrono::milliseconds(10));
    co_await timer.async_wait(kNoThrow);
  }
  LivesNow lives = lives_now(status_);
  const std::uint64_t given = history_.batches()->submitted;
  while (history_.batches()->stored < given && !late()) {
    timer.expires_after(std::chrono::milliseconds(10));
    co_await timer.async_wait(kNoThrow);
  }
  if (given < begun->submitted + 3 || history_.batches()->stored < given) ++lives.under_way;
  co_return lives;
}

asio::awaitable<bool> Server::Impl::answer_watch(Stream& stream, Query query, unsigned version, const Peer& peer) {
  const Share::Taken place = watches_.take(peer.uid);
  if (place) {
    co_await watch(stream, std::move(query), peer);
    co_return false;
  }
  spdlog::warn("watch of {} not begun: too many watches", who(peer));
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
  const Query asked = watcher.query();
  HistoryFilter filter = asked.filter;
  filter.limit = std::min<std::size_t>(500, options_.max_rows);
  filter.lifetime.reset();  // the history would leave out rows without a key, such as gaps
  for (;;) {
    const Result<Page<Row>> page = history_.rows(filter, asked.kinds);
    if (!page)
      co_return co_await write_text(stream, "event: error\ndata: " + error_body(500, page.error().message) + "\n");
    std::string text;
    for (const Row& row : page->items) {
      if (asked.filter.lifetime && !matches(row, asked)) continue;
      text += sse_event(row);
      watcher.sent_up_to(row.seq);
    }
    if (!text.empty() && !co_await write_text(stream, text)) co_return false;
    if (page->next == 0) co_return true;
    filter.after_seq = page->next;
  }
}

asio::awaitable<void> Server::Impl::watch(Stream& stream, Query query, const Peer& peer) {
  const auto ear = std::make_shared<Ear>(asio::steady_timer(co_await asio::this_coro::executor), &stream.socket());
  const std::unique_ptr<Ear, void (*)(Ear*)> deaf(ear.get(), [](Ear* one) { one->socket = nullptr; });
  listen_to(ear);
  asio::steady_timer& wake = ear->wake;
  const int fd = stream.socket().native_handle();
  const bool from_history = query.after_given || query.filter.from_ns != 0;
  const std::int64_t until = query.filter.to_ns;
  Watcher watcher(std::move(query), options_.watch_queue, [&wake] { wake.cancel(); });
  if (hub_.watchers() == 0) hub_.begin_after(newest());
  if (!from_history) watcher.sent_up_to(newest());
  hub_.add(&watcher);  // before the replay: nothing falls between the two
  const std::unique_ptr<Watcher, std::function<void(Watcher*)>> leave(&watcher,
                                                                      [this](Watcher* gone) { hub_.remove(gone); });
  bool open = co_await write_text(
      stream,
      "HTTP/1.1 200 OK\r\nServer: keytrail\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
      "Connection: close\r\n\r\n: watching\n\n");
  if (open && from_history) open = co_await replay(stream, watcher);
  Taking taking(fd);
  while (open && !ear->gone) {
    std::string text = watcher.take();
    if (text.empty()) {
      const std::chrono::nanoseconds pause = pause_until(until);
      if (pause == std::chrono::nanoseconds(0)) {  // what was stored and not yet handed over, then the end
        if (co_await replay(stream, watcher)) co_await write_text(stream, "event: end\ndata: {}\n\n");
        break;
      }
      wake.expires_after(pause);
      co_await wake.async_wait(kNoThrow);
      text = watcher.take();
    }
    if (taking.idle_for() > options_.not_taken_timeout) {
      spdlog::warn("watch of {} ended: it takes nothing", who(peer));
      break;
    }
    open = co_await write_text(stream, text.empty() ? ": still here\n\n" : text);
    taking.sent();
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
