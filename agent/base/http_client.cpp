// SPDX-License-Identifier: Apache-2.0
#include "agent/base/http_client.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/url/parse.hpp>
#include <optional>

#include "agent/base/host.h"
#include "agent/base/log.h"

namespace keytrail::base {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Parser = http::response_parser<http::string_body>;

constexpr int kInterimMax = 16;

std::string serialize(const HttpRequest& request, const std::string& authority) {
  http::request<http::string_body> message;
  message.version(11);
  message.method_string(request.method);
  message.target(request.path);
  message.set(http::field::host, authority);
  message.set(http::field::user_agent, "Keytrail/" KEYTRAIL_VERSION);
  for (const auto& [name, value] : request.headers)
    message.set(name, value);
  message.body() = request.body;
  message.prepare_payload();
  http::serializer<true, http::string_body> serializer(message);
  std::string out;
  boost::system::error_code error;
  while (!serializer.is_done() && !error) {
    serializer.next(error, [&](boost::system::error_code&, const auto& buffers) {
      const std::string piece = boost::beast::buffers_to_string(buffers);
      out += piece;
      serializer.consume(piece.size());
    });
  }
  return out;
}

class Client final : public HttpClient {
 public:
  Client(HttpTarget target, SslContext tls, std::size_t answer_max)
      : target_(std::move(target)),
        tls_(std::move(tls)),
        answer_max_(answer_max),
        cancel_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  [[nodiscard]] bool usable() const { return static_cast<bool>(cancel_); }

  Result<HttpResponse> send(const HttpRequest& request) override try {
    const std::string bytes = serialize(request, target_.authority);
    const Deadline until = std::chrono::steady_clock::now() + request.timeout;
    const bool reused = stream_ != nullptr;
    Result<HttpResponse> response = attempt(request, bytes, until);
    // A peer may close an idle connection at any time: that says nothing about this request.
    const bool again = !response && reused && !answered_ && response.error().code == Error::Code::kUnavailable;
    if (again && std::chrono::steady_clock::now() < until) response = attempt(request, bytes, until);
    return response;
  } catch (const std::exception& error) {
    stream_.reset();
    return fail(Error::Code::kUnavailable,
                std::string("internal error in the HTTP client: ") + printable(error.what()));
  }

  void cancel() override {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(cancel_.get(), &one, sizeof one));
  }

 private:
  Result<HttpResponse> attempt(const HttpRequest& request, const std::string& bytes, Deadline until) {
    answered_ = false;
    if (!stream_) {
      const Deadline connected = request.connect_timeout.count() == 0
                                     ? until
                                     : std::min(until, std::chrono::steady_clock::now() + request.connect_timeout);
      Result<std::unique_ptr<NetStream>> stream =
          NetStream::connect(target_.address, tls_.get(), cancel_.get(), connected);
      if (!stream) return std::unexpected(stream.error());
      stream_ = std::move(*stream);
      unread_.clear();
    }
    keep_ = false;
    // A peer that refuses may close while we still write: its answer is there to be read all the same.
    const Result<void> written = stream_->write(bytes, until);
    Result<HttpResponse> response = written || written.error().code == Error::Code::kUnavailable
                                        ? read_answer(request, until)
                                        : Result<HttpResponse>(std::unexpected(written.error()));
    if (!response && !written) response = std::unexpected(written.error());
    if (!response || !keep_) stream_.reset();
    return response;
  }

  Result<HttpResponse> read_answer(const HttpRequest& request, Deadline until) {
    std::optional<Parser> parser;
    for (int answers = 0; answers <= kInterimMax; ++answers) {
      parser.emplace();
      parser->eager(true);
      parser->body_limit(request.on_body ? boost::optional<std::uint64_t>() : answer_max_);
      if (Result<bool> read = read_one(*parser, request, until); !read) return std::unexpected(read.error());
      // RFC 9110 section 15.2: any number of these may come before the answer. 101 would end HTTP, and nobody asked for
      // it.
      const unsigned status = parser->get().result_int();
      if (status < 100 || status >= 200 || status == 101) return finish(*parser);
    }
    return fail(Error::Code::kUnavailable, "too many interim answers");
  }

  /// Feeds the parser until its message is whole. False: the receiver wants no more.
  Result<bool> read_one(Parser& parser, const HttpRequest& request, Deadline until) {
    while (!parser.is_done()) {
      boost::system::error_code error;
      const std::size_t used = unread_.empty() ? 0 : parser.put(asio::buffer(unread_), error);
      unread_.erase(0, used);
      if (error == http::error::body_limit)
        return fail(Error::Code::kTooLarge, "the answer is over " + std::to_string(answer_max_ >> 20U) + " MiB");
      if (error && error != http::error::need_more) return fail(Error::Code::kUnavailable, printable(error.message()));
      if (request.on_body && parser.is_header_done() && !parser.get().body().empty()) {
        if (!request.on_body(parser.get().result_int(), parser.get().body())) return false;
        parser.get().body().clear();
      }
      if (used > 0 && !error) continue;
      if (parser.is_done()) break;
      if (Result<bool> more =
              fill(parser, request.on_body ? std::chrono::steady_clock::now() + request.timeout : until);
          !more)
        return more;
    }
    return true;
  }

  Result<bool> fill(Parser& parser, Deadline until) {
    char piece[16384];
    const Result<std::size_t> got = stream_->read(piece, sizeof piece, until);
    if (!got) return std::unexpected(got.error());
    if (*got > 0) {
      answered_ = true;
      unread_.append(piece, *got);
      return true;
    }
    boost::system::error_code error;
    if (!parser.got_some()) error = http::error::end_of_stream;
    if (!error) parser.put_eof(error);
    if (error || !parser.is_done())
      return fail(Error::Code::kUnavailable, error ? printable(error.message()) : "end of stream");
    return true;
  }

  Result<HttpResponse> finish(Parser& parser) {
    auto message = parser.release();
    HttpResponse response{
        .status = message.result_int(), .reason = std::string(message.reason()), .headers = {}, .body = {}};
    for (const auto& field : message)
      response.headers.emplace_back(field.name_string(), field.value());
    response.body = std::move(message.body());
    keep_ = parser.is_done() && message.keep_alive() && response.status >= 200;
    return response;
  }

  const HttpTarget target_;
  const SslContext tls_;
  const std::size_t answer_max_;
  const UniqueFd cancel_;
  std::unique_ptr<NetStream> stream_;
  std::string unread_;
  bool answered_ = false, keep_ = false;
};

/// Beyond the grammar: a host that can be one, without a zone, and a port from 1 to 65535 (getaddrinfo takes 99999 as
/// 34463).
bool is_usable(const boost::urls::url_view& url, const std::string& text) {
  const HostPort where = host_of_url(text);
  const bool names_port = url.has_port() && !url.port().empty();
  return !where.host.empty() && names_port == (where.port != 0) && !url.encoded_host().contains('%');
}

}  // namespace

std::string HttpResponse::header(std::string_view name) const {
  const auto found =
      std::ranges::find_if(headers, [&](const auto& one) { return boost::beast::iequals(one.first, name); });
  return found == headers.end() ? std::string() : found->second;
}

Result<HttpTarget> HttpTarget::parse(const std::string& text, const std::string& port) {
  const auto url = boost::urls::parse_uri(text);
  if (!url || (url->scheme() != "http" && url->scheme() != "https") || url->host().empty() || url->has_userinfo() ||
      url->has_query() || url->has_fragment() || !is_usable(*url, text)) {
    return fail(Error::Code::kInvalid, "it must look like http://127.0.0.1:4318 or https://collector.example:4318");
  }
  HttpTarget target;
  target.tls = url->scheme() == "https";
  target.authority = std::string(url->encoded_host_and_port());
  target.address.host = url->host_address();
  target.address.port =
      url->has_port() && !url->port().empty() ? std::string(url->port()) : (target.tls ? "443" : port);
  target.path = std::string(url->encoded_path());
  while (!target.path.empty() && target.path.back() == '/')
    target.path.pop_back();
  return target;
}

HttpTarget HttpTarget::unix_socket(const std::string& path) {
  HttpTarget target;
  target.authority = "localhost";
  target.address.unix_path = path;
  return target;
}

Result<std::unique_ptr<HttpClient>> HttpClient::create(HttpTarget target, const TlsFiles& files,
                                                       std::size_t answer_max) {
  SslContext tls;
  if (target.tls) {
    Result<SslContext> made = make_ssl_context(files);
    if (!made) return std::unexpected(made.error());
    tls = std::move(*made);
  }
  auto client = std::make_unique<Client>(std::move(target), std::move(tls), answer_max);
  if (!client->usable()) return fail(Error::Code::kSystem, "eventfd: no descriptor is left");
  return client;
}

}  // namespace keytrail::base
