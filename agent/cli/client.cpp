// SPDX-License-Identifier: Apache-2.0
// The only file of the command line that includes Beast and Asio.
#include "agent/cli/client.h"

#include <fmt/format.h>

#include <boost/asio.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <exception>
#include <optional>

#include "agent/cli/event_stream.h"

namespace keytrail::cli {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::local::stream_protocol;
using Stream = beast::basic_stream<stream_protocol>;

namespace {

constexpr std::uint64_t kMaxAnswer = 256U << 20U;
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

Error connect_error(const std::string& socket, const boost::system::error_code& error) {
  const bool refused = error == boost::system::errc::permission_denied;
  return {refused ? Error::Code::kRefused : Error::Code::kNotFound, fmt::format("connect {}: {}", socket, error.message())};
}

Error broken(const boost::system::error_code& error) {
  if (error == beast::error::timeout) return {Error::Code::kUnavailable, "the agent did not answer in time"};
  return {Error::Code::kUnavailable, "the agent's answer is broken: " + error.message()};
}

http::request<http::empty_body> request_for(const std::string& target) {
  http::request<http::empty_body> request(http::verb::get, target, 11);
  request.set(http::field::host, "localhost");
  request.set(http::field::user_agent, "keytrail/" KEYTRAIL_VERSION);
  request.keep_alive(false);
  return request;
}

asio::awaitable<Result<Answer>> ask(const std::string& socket, const std::string& target, std::chrono::milliseconds timeout) {
  Stream stream(co_await asio::this_coro::executor);
  stream.expires_after(timeout);
  if (const auto [error] = co_await stream.async_connect(stream_protocol::endpoint(socket), kNoThrow); error) {
    co_return std::unexpected(connect_error(socket, error));
  }
  const http::request<http::empty_body> request = request_for(target);
  co_await http::async_write(stream, request, kNoThrow);  // one that is refused may find the socket closed: its answer is there to be read
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxAnswer);
  if (const auto [error, bytes] = co_await http::async_read(stream, buffer, parser, kNoThrow); error)
    co_return std::unexpected(broken(error));
  co_return Answer{parser.get().result_int(), std::move(parser.get().body())};
}

asio::awaitable<Result<Answer>> stream_events(const std::string& socket, const std::string& target,
                                              const std::function<bool(std::string_view, std::string_view)>& on_event) {
  Stream stream(co_await asio::this_coro::executor);
  stream.expires_after(std::chrono::seconds(60));
  if (const auto [error] = co_await stream.async_connect(stream_protocol::endpoint(socket), kNoThrow); error) {
    co_return std::unexpected(connect_error(socket, error));
  }
  const http::request<http::empty_body> request = request_for(target);
  co_await http::async_write(stream, request, kNoThrow);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(boost::none);
  parser.eager(true);
  if (const auto [error, bytes] = co_await http::async_read_header(stream, buffer, parser, kNoThrow); error)
    co_return std::unexpected(broken(error));
  const unsigned status = parser.get().result_int();
  EventStream events(on_event);
  for (;;) {
    if (status == 200) {
      if (!events.feed(parser.get().body())) co_return Answer{status, {}};
      parser.get().body().clear();
    }
    if (parser.is_done()) break;
    stream.expires_after(std::chrono::seconds(60));  // the agent says "still here" every 15 s
    const auto [error, bytes] = co_await http::async_read_some(stream, buffer, parser, kNoThrow);
    if (error && error != http::error::end_of_stream) co_return std::unexpected(broken(error));
    if (error) break;
  }
  if (status != 200) co_return Answer{status, std::move(parser.get().body())};
  co_return std::unexpected(Error{Error::Code::kUnavailable, "the agent ended the watch"});
}

/// Runs one coroutine to its end on this thread.
Result<Answer> run(asio::awaitable<Result<Answer>> work) try {
  asio::io_context context(1);
  std::optional<Result<Answer>> result;
  std::exception_ptr thrown;
  asio::co_spawn(context, std::move(work), [&](const std::exception_ptr& error, Result<Answer> value) {
    thrown = error;
    result = std::move(value);
  });
  context.run();
  if (thrown) std::rethrow_exception(thrown);
  if (!result) return fail(Error::Code::kUnavailable, "the agent did not answer");
  return std::move(*result);
} catch (const std::exception& error) {
  return fail(Error::Code::kUnavailable, error.what());
}

}  // namespace

Result<Answer> get(const std::string& socket, const std::string& target, std::chrono::milliseconds timeout) {
  if (socket.empty() || socket.size() > 107) return fail(Error::Code::kInvalid, "the socket's path must have 1 to 107 bytes");
  return run(ask(socket, target, timeout));
}

Result<Answer> follow(const std::string& socket, const std::string& target,
                      const std::function<bool(std::string_view, std::string_view)>& on_event) {
  if (socket.empty() || socket.size() > 107) return fail(Error::Code::kInvalid, "the socket's path must have 1 to 107 bytes");
  return run(stream_events(socket, target, on_event));
}

std::string encode(std::string_view text) {
  return boost::urls::encode(boost::urls::string_view(text.data(), text.size()), boost::urls::unreserved_chars);
}

}  // namespace keytrail::cli
